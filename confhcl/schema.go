package confhcl

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// schema lists what may stand in a block. Unknown names, missing ones and the
// reference in docs/configuration.md are all checked against it.
type schema struct {
	block      string // the block's type; empty for the file itself
	attributes []string
	required   []string // of attributes
	blocks     []string
}

var schemas = []schema{
	{
		attributes: []string{
			"listen", "server_root", "server_name", "timeout", "keep_alive", "keep_alive_timeout",
			"max_keep_alive_requests", "error_log", "types_config",
			"limit_request_line", "limit_request_field_size", "limit_request_body",
		},
		required: []string{"listen"},
		blocks:   []string{"jail", "mpm", "site"},
	},
	{
		block:      "jail",
		attributes: []string{"root", "user", "group", "order", "after"},
		required:   []string{"root"},
	},
	{
		block:      "mpm",
		attributes: mpmAttributes(),
		blocks:     []string{"child_per_user_id"},
	},
	{
		block:      "child_per_user_id",
		attributes: []string{"user", "group", "servers"},
		required:   []string{"user", "group"},
	},
	{
		block: "site",
		attributes: []string{
			"server_name", "server_alias", "document_root", "directory_index",
			"dot_files", "follow_symlinks", "headers",
		},
		required: []string{"document_root"},
		blocks:   []string{"access_log", "assign_user_id"},
	},
	{
		block:      "access_log",
		attributes: []string{"path", "format"},
		required:   []string{"path"},
	},
	{
		block:      "assign_user_id",
		attributes: []string{"user", "group"},
		required:   []string{"user", "group"},
	},
}

func schemaOf(block string) schema {
	return schemas[slices.IndexFunc(schemas, func(s schema) bool { return s.block == block })]
}

// title names the block in a message.
func (s schema) title() string {
	switch {
	case s.block == "":
		return "the top level of the file"
	case s.block == "mpm" || strings.HasPrefix(s.block, "a"):
		return "an " + s.block + " block"
	default:
		return "a " + s.block + " block"
	}
}

// hint says what somebody who wrote the unknown name here probably meant, as
// a sentence with a leading space, or nothing.
func (s schema) hint(name string, block bool) string {
	if !block && slices.Contains(s.blocks, name) {
		return " It is a block: leave out the equals sign."
	}
	if block && slices.Contains(s.attributes, name) {
		return " It is an argument: write it with an equals sign."
	}
	known := s.attributes
	if block {
		known = s.blocks
	}
	if m := didYouMean(name, known); m != "" {
		return m
	}
	return elsewhere(name)
}

// renamed are Apache's directives that have another name here, or another
// form. Those of Apache 2.4 are among them where 2.0 has an older name.
var renamed = map[string]string{
	"virtualhost":            "site",
	"customlog":              "access_log",
	"transferlog":            "access_log",
	"chrootdir":              "root",
	"options":                "follow_symlinks",
	"header":                 "headers",
	"mutex":                  "accept_mutex",
	"maxrequestworkers":      "max_clients",
	"maxconnectionsperchild": "max_requests_per_child",
}

// elsewhere says where a name that is unknown in one place is known.
func elsewhere(name string) string {
	wanted := plain(name)
	if now, ok := renamed[wanted]; ok {
		wanted = plain(now)
	}
	same := func(known string) bool { return plain(known) == wanted }
	for _, s := range schemas {
		where := "in " + s.title()
		if s.block == "" {
			where = "at " + s.title()
		}
		if i := slices.IndexFunc(s.attributes, same); i >= 0 {
			return " There is an argument \"" + s.attributes[i] + "\" " + where + "."
		}
		if i := slices.IndexFunc(s.blocks, same); i >= 0 {
			return " There is a block \"" + s.blocks[i] + "\" " + where + "."
		}
	}
	return ""
}

// didYouMean proposes the known name nearest to the given one, as a sentence
// with a leading space, or nothing when none is near.
func didYouMean(given string, known []string) string {
	// Apache's own spelling is further away than a slip of the finger.
	for _, k := range known {
		if plain(k) == plain(given) {
			return ` Did you mean "` + k + `"?`
		}
	}
	// HCL's own suggestions allow two slips as well. Long names are left to
	// it and to plain: the distance takes quadratic time.
	best, least := "", 3
	if len(given) < 64 {
		for _, k := range known {
			if d := levenshtein.Distance(given, k, nil); d < least && d < len(given) {
				best, least = k, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return ` Did you mean "` + best + `"?`
}

// plain makes DocumentRoot and document_root the same, and the names of MPMs
// with and without their prefix.
func plain(name string) string {
	name = strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
	if bare := strings.TrimPrefix(name, "mpm"); bare != "" {
		return bare
	}
	return name
}
