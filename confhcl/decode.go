package confhcl

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"
)

// decoder turns parsed blocks into structs and gathers what is wrong.
type decoder struct {
	src   []byte
	diags hcl.Diagnostics
	// partial says that the source has syntax errors: what seems missing may
	// only be unreadable.
	partial bool
}

func (d *decoder) report(severity hcl.DiagnosticSeverity, at hcl.Range, summary, format string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: severity,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &at,
	})
}

func (d *decoder) errorf(at hcl.Range, summary, format string, args ...any) {
	d.report(hcl.DiagError, at, summary, format, args...)
}

func (d *decoder) warnf(at hcl.Range, summary, format string, args ...any) {
	d.report(hcl.DiagWarning, at, summary, format, args...)
}

// check reports the names in a block that its schema does not have, and the
// required ones that are missing; header is the line the block starts with.
func (d *decoder) check(body *hclsyntax.Body, header hcl.Range, s schema) {
	// any order: diagnostics are sorted by their place in the file.
	for name, a := range body.Attributes {
		if !slices.Contains(s.attributes, name) {
			d.errorf(a.NameRange, "Unknown argument", "%s has no argument %q.%s",
				capital(s.title()), name, s.hint(name, false))
		}
	}
	for _, b := range body.Blocks {
		switch {
		case !slices.Contains(s.blocks, b.Type):
			d.errorf(b.TypeRange, "Unknown block", "%s has no block %q.%s",
				capital(s.title()), b.Type, s.hint(b.Type, true))
		case b.Type != "mpm" && len(b.Labels) > 0:
			d.errorf(b.LabelRanges[0], "Unexpected label", "A %s block has no label.", b.Type)
		}
	}
	for _, name := range s.required {
		if body.Attributes[name] == nil && !d.partial {
			d.errorf(header, "Missing argument", "%s needs %q.", capital(s.title()), name)
		}
	}
}

// blocks returns the blocks of a type, having checked each.
func (d *decoder) blocks(body *hclsyntax.Body, name string) []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, b := range body.Blocks {
		if b.Type == name {
			d.check(b.Body, b.DefRange(), schemaOf(name))
			found = append(found, b)
		}
	}
	return found
}

// block returns the only block of a type, or nil. More than one is an error.
func (d *decoder) block(body *hclsyntax.Body, name string) *hclsyntax.Block {
	found := d.blocks(body, name)
	if len(found) == 0 {
		return nil
	}
	for _, again := range found[1:] {
		d.errorf(again.DefRange(), "Duplicate block", "There can be one %s block; the first is on line %d.",
			name, found[0].TypeRange.Start.Line)
	}
	return found[0]
}

// literal returns the value of an expression that is written out. Anything to
// be computed is an error, and is never computed: a few nested "for" over
// long lists, or a number like 1e999999999 turned into a string, would take
// all the time and memory there is.
func (d *decoder) literal(e hclsyntax.Expression) (cty.Value, bool) {
	written := func(parts ...hclsyntax.Expression) bool {
		return !slices.ContainsFunc(parts, func(p hclsyntax.Expression) bool {
			_, ok := p.(*hclsyntax.LiteralValueExpr)
			return !ok
		})
	}
	const literals = "Values are written out in full: there are no variables, functions, templates or arithmetic."
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return e.Val, e.Val.IsKnown() // unknown where the parser has reported it
	case *hclsyntax.ParenthesesExpr:
		return d.literal(e.Expression)
	case *hclsyntax.TemplateExpr: // a quoted string
		if written(e.Parts...) {
			v, diags := e.Value(nil)
			return v, !diags.HasErrors() && v.IsKnown()
		}
	case *hclsyntax.UnaryOpExpr:
		if n, ok := e.Val.(*hclsyntax.LiteralValueExpr); ok && e.Op == hclsyntax.OpNegate && n.Val.Type() == cty.Number && !n.Val.IsNull() {
			return n.Val.Negate(), n.Val.IsKnown()
		}
	case *hclsyntax.TupleConsExpr, *hclsyntax.ObjectConsExpr:
		// Only the type is looked at by whoever expects something else.
		if _, list := e.(*hclsyntax.TupleConsExpr); list {
			return cty.EmptyTupleVal, true
		}
		return cty.EmptyObjectVal, true
	case *hclsyntax.ExprSyntaxError:
		return cty.NilVal, false // reported by the parser
	case *hclsyntax.ScopeTraversalExpr:
		name := string(e.SrcRange.SliceBytes(d.src))
		switch strings.ToLower(name) {
		case "on", "yes":
			d.errorf(e.SrcRange, "Not a value", "%s is not a value here. Write true.", name)
		case "off", "no":
			d.errorf(e.SrcRange, "Not a value", "%s is not a value here. Write false.", name)
		default:
			d.errorf(e.SrcRange, "No variables", "There is no variable %q. %s If a string is meant, put it in quotes.",
				name, literals)
		}
		return cty.NilVal, false
	case *hclsyntax.FunctionCallExpr:
		d.errorf(e.Range(), "No functions", "There is no function %q. %s", e.Name, literals)
		return cty.NilVal, false
	}
	d.errorf(e.Range(), "Not a literal value", "%s", literals)
	return cty.NilVal, false
}

// typed returns the literal value of an expression if it has the type, and
// reports it otherwise. Nothing is converted: "5" is not a number.
func (d *decoder) typed(name string, e hclsyntax.Expression, want ...cty.Type) (cty.Value, bool) {
	v, ok := d.literal(e)
	if !ok {
		return v, false
	}
	if !v.IsNull() && slices.Contains(want, v.Type()) {
		return v, true
	}
	is := kind(v.Type())
	hint := ""
	switch {
	case v.IsNull():
		is, hint = "null", " To get the default, leave the argument out."
	case v.Type() == cty.String && slices.Contains(want, cty.Number):
		hint = " Leave out the quotes."
	case v.Type() == cty.String && slices.Contains(want, cty.Bool):
		hint = " Write true or false, without quotes."
	case v.Type() == cty.Number && slices.Contains(want, cty.String):
		hint = " Put it in quotes."
	}
	kinds := make([]string, len(want))
	for i, t := range want {
		kinds[i] = kind(t)
	}
	d.errorf(e.Range(), "Wrong type", "%s is %s, not %s.%s", name, strings.Join(kinds, " or "), is, hint)
	return v, false
}

// kind names a type in a message.
func kind(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType():
		return "a list"
	default:
		return "a map"
	}
}

// str stores a string attribute. It reports whether there was one.
func (d *decoder) str(body *hclsyntax.Body, name string, to *string) bool {
	a := body.Attributes[name]
	if a == nil {
		return false
	}
	v, ok := d.typed(name, a.Expr, cty.String)
	if ok {
		*to = v.AsString()
	}
	return ok
}

// word stores a string attribute that has to be one of the known words.
func (d *decoder) word(body *hclsyntax.Body, name string, known []string, to *string) bool {
	var given string
	if !d.str(body, name, &given) {
		return false
	}
	if !slices.Contains(known, given) {
		d.errorf(body.Attributes[name].Expr.Range(), "Unknown "+name, "%s %q is not known.%s The known ones are %s.",
			name, given, didYouMean(given, known), list(known))
		return false
	}
	*to = given
	return true
}

// boolean stores a boolean attribute.
func (d *decoder) boolean(body *hclsyntax.Body, name string, to *bool) {
	if a := body.Attributes[name]; a != nil {
		if v, ok := d.typed(name, a.Expr, cty.Bool); ok {
			*to = v.True()
		}
	}
}

// integer stores a whole number within bounds. It reports whether there was
// one.
func (d *decoder) integer(body *hclsyntax.Body, name string, least, most int64, to *int64) bool {
	a := body.Attributes[name]
	if a == nil {
		return false
	}
	v, ok := d.typed(name, a.Expr, cty.Number)
	if !ok {
		return false
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy == big.Exact && least <= n && n <= most {
		*to = n
		return true
	}
	if !v.AsBigFloat().IsInt() {
		d.errorf(a.Expr.Range(), "Not a whole number", "%s is a whole number from %d to %d.", name, least, most)
	} else {
		d.errorf(a.Expr.Range(), "Out of range", "%s has to be from %d to %d.", name, least, most)
	}
	return false
}

// count is integer for the many fields that are an int.
func (d *decoder) count(body *hclsyntax.Body, name string, least, most int, to *int) bool {
	n := int64(0)
	ok := d.integer(body, name, int64(least), int64(most), &n)
	if ok {
		*to = int(n)
	}
	return ok
}

// maxDuration is 24h, as messages say. It bounds what is added to a clock somewhere else.
const maxDuration = 24 * time.Hour

// duration stores a number of seconds, or a string with Go's units.
func (d *decoder) duration(body *hclsyntax.Body, name string, least time.Duration, to *time.Duration) {
	a := body.Attributes[name]
	if a == nil {
		return
	}
	v, ok := d.typed(name, a.Expr, cty.Number, cty.String)
	if !ok {
		return
	}
	var t time.Duration
	if v.Type() == cty.Number {
		seconds, _ := v.AsBigFloat().Float64() // infinite if too large, and then out of range
		t = maxDuration + 1
		if seconds <= maxDuration.Seconds() {
			t = time.Duration(max(seconds, -1) * float64(time.Second))
		}
	} else {
		var err error
		if t, err = time.ParseDuration(v.AsString()); err != nil {
			d.errorf(a.Expr.Range(), "Invalid duration",
				`%s is a number of seconds, or a string like "300s", "1m30s" or "500ms".`, name)
			return
		}
	}
	if t < least || t > maxDuration {
		d.errorf(a.Expr.Range(), "Out of range", "%s has to be from %v to 24h.", name, least)
		return
	}
	*to = t
}

// pathMax is Linux's PATH_MAX (limits.h) without the NUL at the end.
const pathMax = 4095

// path stores the path in an attribute. It reports whether there was one.
func (d *decoder) path(body *hclsyntax.Body, name string, to *string) bool {
	var given string
	if !d.str(body, name, &given) {
		return false
	}
	at := body.Attributes[name].Expr.Range()
	switch {
	case given == "":
		d.errorf(at, "Empty path", "%s is empty, and an empty path names nothing.", name)
	case strings.ContainsRune(given, 0):
		d.errorf(at, "Invalid path", "%s contains a NUL character, which no path can.", name)
	case len(given) > pathMax:
		d.errorf(at, "Path too long", "%s has %d bytes; a path can have %d.", name, len(given), pathMax)
	default:
		// HCL puts strings into Unicode's form C (hclsyntax/spec.md); a file
		// system compares bytes.
		if !norm.NFC.IsNormal(at.SliceBytes(d.src)) {
			d.warnf(at, "Path changed by normalization",
				"HCL turns strings into Unicode normalization form C, so %s is not byte for byte the path written here.", name)
		}
		*to = given
		return true
	}
	return false
}

// absolute is path for those that nothing could be relative to.
func (d *decoder) absolute(body *hclsyntax.Body, name string, to *string) bool {
	var given string
	if !d.path(body, name, &given) {
		return false
	}
	if given[0] != '/' {
		d.errorf(body.Attributes[name].Expr.Range(), "Relative path", "%s has to be an absolute path.", name)
		return false
	}
	*to = given
	return true
}

// located is path for a value that remembers its place.
func (d *decoder) located(body *hclsyntax.Body, name string, to *Located) {
	if d.path(body, name, &to.Value) {
		to.Range, to.Set = body.Attributes[name].Expr.Range(), true
	}
}

// strings returns the elements of a list of strings, those of a wrong type
// left out.
func (d *decoder) strings(body *hclsyntax.Body, name string) []Located {
	a := body.Attributes[name]
	if a == nil {
		return nil
	}
	tuple, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		if v, ok := d.literal(a.Expr); ok {
			hint := ""
			if !v.IsNull() && v.Type() == cty.String {
				hint = " Put it in square brackets."
			}
			d.errorf(a.Expr.Range(), "Wrong type", "%s is a list of strings.%s", name, hint)
		}
		return nil
	}
	var found []Located
	for _, e := range tuple.Exprs {
		if v, ok := d.typed("An element of "+name, e, cty.String); ok {
			found = append(found, Located{Value: v.AsString(), Range: e.Range(), Set: true})
		}
	}
	return found
}

// list writes two or more names as a sentence does.
func list(names []string) string {
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
