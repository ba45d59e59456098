package simtests

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// underSys are the packages whose code runs under sys.Sys: on the simulated
// kernel their every wait must be a call that the kernel sees, and two runs
// with one seed must not differ.
var underSys = []string{
	"github.com/httpjail/httpjail/server/...",
	"github.com/httpjail/httpjail/mpm/...",
	"github.com/httpjail/httpjail/confhcl",
	"github.com/httpjail/httpjail/sys/conn",
	"github.com/httpjail/httpjail/sys/thread",
}

// forbidden are packages whose functions and variables must not be used, and
// whose types may. A name after the path is allowed.
var forbidden = map[string][]string{
	"os":           {"ErrDeadlineExceeded"},
	"os/exec":      nil,
	"os/signal":    nil,
	"net":          {"ErrClosed"},
	"net/http":     {"TimeFormat", "ParseTime"},
	"syscall":      nil,
	"math/rand":    nil,
	"math/rand/v2": nil,
	"crypto/rand":  nil,
	"sync":         nil,
	"runtime":      nil,
}

// forbiddenTime are the functions of package time that read or wait for the
// machine's clock.
var forbiddenTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestCodeUnderSysKeepsTheRules(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo |
			packages.NeedImports | packages.NeedDeps,
	}, underSys...)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < len(underSys) {
		t.Fatalf("found %d packages only", len(pkgs))
	}
	for _, pkg := range pkgs {
		for _, e := range pkg.Errors {
			t.Errorf("%v", e)
		}
		for _, file := range pkg.Syntax {
			for _, v := range violations(pkg, file) {
				t.Error(v)
			}
		}
	}
}

// allowComment lifts the rule about maps for one loop: its order cannot be
// seen, and the comment says why.
const allowComment = "any order:"

func violations(pkg *packages.Package, file *ast.File) (found []string) {
	report := func(pos token.Pos, format string, args ...any) {
		found = append(found, fmt.Sprintf("%v: %s", pkg.Fset.Position(pos), fmt.Sprintf(format, args...)))
	}
	allowed := map[int]bool{} // lines that follow an allowComment
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.Contains(c.Text, allowComment) {
				allowed[pkg.Fset.Position(group.End()).Line+1] = true
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n.Pos(), "a bare go statement: use Sys.Go")
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			report(n.Pos(), "a channel: use sys/thread")
		case *ast.RangeStmt:
			if _, isMap := pkg.TypesInfo.TypeOf(n.X).Underlying().(*types.Map); isMap && !allowed[pkg.Fset.Position(n.Pos()).Line] {
				report(n.Pos(), "a loop over a map: its order differs from run to run (sort, or say //%s why)", allowComment)
			}
		case *ast.Ident:
			obj := pkg.TypesInfo.Uses[n]
			if obj == nil || obj.Pkg() == nil || obj.Pkg() == pkg.Types || obj.Parent() != obj.Pkg().Scope() {
				return true
			}
			path, name := obj.Pkg().Path(), obj.Name()
			if path == "time" {
				for _, f := range forbiddenTime {
					if name == f {
						report(n.Pos(), "time.%s: use sys.Clock", name)
					}
				}
			}
			names, isForbidden := forbidden[path]
			if _, isType := obj.(*types.TypeName); !isForbidden || isType && path != "sync" {
				return true
			}
			for _, ok := range names {
				if name == ok {
					return true
				}
			}
			report(n.Pos(), "%s.%s: use what Sys offers", path, name)
		}
		return true
	})
	return found
}
