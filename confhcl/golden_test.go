package confhcl

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// TestGolden parses each archive in testdata: the file "httpjail.hcl" is the
// source, "want" the diagnostics as Print writes them without colour,
// followed, where there is a Config, by what of it differs from Default.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) == 0 || archive.Files[0].Name != "httpjail.hcl" {
				t.Fatal("the first file has to be httpjail.hcl")
			}
			src := archive.Files[0].Data
			c, diags := Parse("httpjail.hcl", src)
			if (c == nil) != diags.HasErrors() {
				t.Errorf("Config %v with errors %v", c, diags)
			}
			var got bytes.Buffer
			Print(&got, map[string][]byte{"httpjail.hcl": src}, diags, false, 78)
			if c != nil {
				checkJSON(t, c)
				got.Write(differences(t, c))
			}
			if *update {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "want", Data: got.Bytes()})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) != 2 {
				t.Fatal("no file named want; run with -update")
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// goldenSources returns the sources in testdata.
func goldenSources(t testing.TB) [][]byte {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var sources [][]byte
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, archive.Files[0].Data)
	}
	return sources
}

// differences lists the fields of a Config whose value is not the one of the
// same MPM and an empty site, as JSON without ranges.
func differences(t *testing.T, c *Config) []byte {
	t.Helper()
	unset := defaults()
	unset.MPM = mpmDefaults(c.MPM.Name, "/")
	fields, base := plainJSON(t, c), plainJSON(t, unset)
	delete(fields, "File")
	keep(fields["MPM"].(map[string]any), base["MPM"].(map[string]any))
	unset.Sites = []Site{siteDefaults()}
	site := plainJSON(t, unset)["Sites"].([]any)[0].(map[string]any)
	for _, s := range fields["Sites"].([]any) {
		keep(s.(map[string]any), site)
	}
	keep(fields, base)
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func plainJSON(t *testing.T, c *Config) map[string]any {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	dropRanges(fields)
	return fields
}

func dropRanges(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, field := range v {
			if key == "Range" || key == "RootRange" || key == "UserRange" || key == "GroupRange" {
				delete(v, key)
			} else {
				dropRanges(field)
			}
		}
	case []any:
		for _, element := range v {
			dropRanges(element)
		}
	}
}

// keep deletes from fields what is the same in unset.
func keep(fields, unset map[string]any) {
	for key, field := range fields {
		if cmp.Equal(field, unset[key]) || key == "MPM" && len(field.(map[string]any)) == 0 {
			delete(fields, key)
		}
	}
}

func checkJSON(t *testing.T, c *Config) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again Config
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, &again); diff != "" {
		t.Errorf("changed by encoding/json:\n%s", diff)
	}
}
