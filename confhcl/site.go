package confhcl

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func (d *decoder) sites(body *hclsyntax.Body) []Site {
	var sites []Site
	names := map[string]hcl.Range{} // in lower case
	for _, b := range d.blocks(body, "site") {
		s := d.site(b)
		sites = append(sites, s)

		claim := func(name string, at hcl.Range) {
			if first, taken := names[name]; !taken {
				names[name] = at
			} else if name == "" {
				d.errorf(at, "Duplicate site", "One site can have no server_name; the first without one is on line %d.", first.Start.Line)
			} else {
				d.errorf(at, "Duplicate site", "The name %q is taken by the site on line %d.", name, first.Start.Line)
			}
		}
		at := s.Range
		if a := b.Body.Attributes["server_name"]; a != nil {
			at = a.Expr.Range()
		}
		if s.ServerName != "" || b.Body.Attributes["server_name"] == nil && !d.partial {
			claim(s.ServerName, at)
		}
		for _, alias := range d.strings(b.Body, "server_alias") {
			if d.hostName("server_alias", alias) {
				name := strings.ToLower(alias.Value)
				claim(name, alias.Range)
				sites[len(sites)-1].ServerAlias = append(sites[len(sites)-1].ServerAlias, name)
			}
		}
	}
	return sites
}

func (d *decoder) site(b *hclsyntax.Block) Site {
	s := siteDefaults()
	s.Range = b.DefRange()
	s.ServerName = d.serverName(b.Body)
	s.DocumentRoot.Range = s.Range
	d.located(b.Body, "document_root", &s.DocumentRoot)
	if b.Body.Attributes["directory_index"] != nil {
		s.DirectoryIndex = nil
		for _, file := range d.strings(b.Body, "directory_index") {
			if file.Value == "" || file.Value == "." || file.Value == ".." || strings.ContainsAny(file.Value, "/\x00") {
				d.errorf(file.Range, "Invalid file name",
					"directory_index lists names of files in the requested directory, without slashes.")
				continue
			}
			s.DirectoryIndex = append(s.DirectoryIndex, file.Value)
		}
	}
	d.boolean(b.Body, "dot_files", &s.DotFiles)
	d.boolean(b.Body, "follow_symlinks", &s.FollowSymlinks)
	s.Headers = d.headers(b.Body)
	if l := d.block(b.Body, "access_log"); l != nil {
		s.AccessLog = &AccessLog{Path: Located{Range: l.DefRange()}, Format: FormatCommon, Range: l.DefRange()}
		d.located(l.Body, "path", &s.AccessLog.Path)
		d.word(l.Body, "format", []string{FormatCommon, FormatCombined}, &s.AccessLog.Format)
	}
	if u := d.block(b.Body, "assign_user_id"); u != nil {
		s.AssignUserID = &AssignUserID{Range: u.DefRange()}
		d.account(u.Body, "user", &s.AssignUserID.User)
		d.account(u.Body, "group", &s.AssignUserID.Group)
	}
	return s
}

// serverName returns the server_name of a block in lower case.
func (d *decoder) serverName(body *hclsyntax.Body) string {
	var name string
	if !d.str(body, "server_name", &name) {
		return ""
	}
	if !d.hostName("server_name", Located{Value: name, Range: body.Attributes["server_name"].Expr.Range()}) {
		return ""
	}
	return strings.ToLower(name)
}

// hostName reports whether a value can be compared with a request's Host. An
// alias can have Apache's wildcards * and ?.
func (d *decoder) hostName(directive string, name Located) bool {
	ok := name.Value != "" && len(name.Value) <= 253 // RFC 1035 2.3.4, without the root's dot
	for _, r := range name.Value {
		ok = ok && (r == '-' || r == '.' || r == '_' || r == '[' || r == ']' || r == ':' && name.Value[0] == '[' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' ||
			directive == "server_alias" && (r == '*' || r == '?'))
	}
	if !ok {
		d.errorf(name.Range, "Invalid host name",
			"%s is a host name of at most 253 letters, digits, dots and hyphens, without scheme or port; an alias can have * and ? as well.", directive)
	}
	return ok
}

// serverHeaders are those that the server itself has to get right
// (RFC 9110, RFC 9112): a second one would contradict it.
var serverHeaders = []string{
	"connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

func (d *decoder) headers(body *hclsyntax.Body) map[string]string {
	a := body.Attributes["headers"]
	if a == nil {
		return nil
	}
	object, ok := a.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		if _, ok := d.literal(a.Expr); ok {
			d.errorf(a.Expr.Range(), "Wrong type", "headers is a map of strings: headers = { X-Frame-Options = \"DENY\" }.")
		}
		return nil
	}
	headers := map[string]string{}
	seen := map[string]bool{}
	for _, item := range object.Items {
		name, ok := d.key(item.KeyExpr)
		if !ok {
			continue
		}
		at := item.KeyExpr.Range()
		lower := strings.ToLower(name)
		switch {
		case !token(name):
			d.errorf(at, "Invalid header name", "%q cannot be the name of a header (RFC 9110, 5.6.2).", name)
		case slices.Contains(serverHeaders, lower):
			d.errorf(at, "Reserved header", "The server sets %s itself.", name)
		case seen[lower]:
			d.errorf(at, "Duplicate header", "The header %s is set twice.", name)
		}
		seen[lower] = true
		value, ok := d.typed("The header "+name, item.ValueExpr, cty.String)
		if !ok {
			continue
		}
		if strings.ContainsFunc(value.AsString(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			d.errorf(item.ValueExpr.Range(), "Invalid header value",
				"A header's value cannot contain line ends or other control characters (RFC 9110, 5.5).")
			continue
		}
		headers[name] = value.AsString()
	}
	return headers
}

// key returns the key of a map's item: a bare word or a string.
func (d *decoder) key(e hclsyntax.Expression) (string, bool) {
	if k, ok := e.(*hclsyntax.ObjectConsKeyExpr); ok {
		if word := hcl.ExprAsKeyword(k.Wrapped); word != "" && !k.ForceNonLiteral {
			return word, true
		}
		e = k.Wrapped
	}
	v, ok := d.typed("A key", e, cty.String)
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

// token reports whether s is a token of RFC 9110, 5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
