// Package welcome has the site of a server that was started without a
// configuration. It loads nothing from elsewhere and needs no JavaScript.
package welcome

import (
	"embed"
	"io/fs"
)

//go:embed site
var embedded embed.FS

// Files are the site's files: index.html, style.css and logo.svg.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "site")
	if err != nil {
		panic(err) // "site" is a valid name
	}
	return files
}
