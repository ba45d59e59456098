package welcome_test

import (
	"encoding/xml"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/httpjail/httpjail/server/welcome"
)

func TestFiles(t *testing.T) {
	if err := fstest.TestFS(welcome.Files(), "index.html", "style.css", "logo.svg"); err != nil {
		t.Error(err)
	}
}

// TestSelfContained: what a browser loads by itself is in the site.
func TestSelfContained(t *testing.T) {
	files := welcome.Files()
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	loads := regexp.MustCompile(`(?:<link [^>]*href|src)="([^"]*)"`).FindAllStringSubmatch(string(index), -1)
	if len(loads) < 3 {
		t.Errorf("the page loads %v", loads)
	}
	for _, l := range loads {
		if _, err := fs.Stat(files, l[1]); err != nil {
			t.Errorf("the page loads %q: %v", l[1], err)
		}
	}
	if strings.Contains(string(index), "<script") || strings.Contains(string(index), "style=") {
		t.Error("the page's own Content-Security-Policy forbids scripts and inline styles")
	}
	style, err := fs.ReadFile(files, "style.css")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`@import|url\(`).Match(style) {
		t.Error("the style sheet loads something")
	}
}

func TestLogoIsXML(t *testing.T) {
	f, err := welcome.Files().Open("logo.svg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
