package server

import (
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/server/modules/accesslog"
	"github.com/httpjail/httpjail/server/modules/static"
)

// modules are the server's, in the order in which they prepare themselves and
// are asked to answer a request.
var modules = []module.Module{
	accesslog.Module{},
	static.Module{},
}

func moduleNames() (names []string) {
	for _, m := range modules {
		names = append(names, m.Name())
	}
	return names
}
