package aferofs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// ioFS is a directory of a Sys as an fs.FS.
type ioFS struct {
	s   Sys
	dir string
}

var (
	_ fs.ReadDirFS  = ioFS{}
	_ fs.ReadFileFS = ioFS{}
	_ fs.StatFS     = ioFS{}
	_ fs.ReadLinkFS = ioFS{}
	_ fs.SubFS      = ioFS{}
)

// IOFS is the directory dir of s as an fs.FS, as os.DirFS is one of the host's:
// like there, a symlink may lead out of it.
func IOFS(s Sys, dir string) fs.FS { return ioFS{s, dir} }

// at is the path of a name, which must be valid as package fs has it.
func (f ioFS) at(op, name string) (string, error) {
	if !fs.ValidPath(name) || strings.Contains(name, "\x00") {
		return "", pathError(op, name, fs.ErrInvalid)
	}
	return path.Join(f.dir, name), nil
}

// rel makes an error of a path one of the name that the caller knows.
func rel(err error, name string) error {
	if pe, ok := err.(*fs.PathError); ok {
		pe.Path = name
	}
	return err
}

func (f ioFS) Open(name string) (fs.File, error) {
	p, err := f.at("open", name)
	if err != nil {
		return nil, err
	}
	file, err := open(f.s, p, os.O_RDONLY, 0)
	if err != nil {
		return nil, rel(err, name)
	}
	return file, nil
}

func (f ioFS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(file)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return data, rel(err, name)
}

func (f ioFS) ReadDir(name string) ([]fs.DirEntry, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	entries, err := file.(*File).ReadDir(-1)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, rel(err, name)
}

func (f ioFS) Stat(name string) (fs.FileInfo, error)  { return f.stat(f.s.Stat, "stat", name) }
func (f ioFS) Lstat(name string) (fs.FileInfo, error) { return f.stat(f.s.Lstat, "lstat", name) }

func (f ioFS) stat(call func(string, *sys.Stat) error, op, name string) (fs.FileInfo, error) {
	p, err := f.at(op, name)
	if err != nil {
		return nil, err
	}
	fi, err := statInfo(call, op, p)
	return fi, rel(err, name)
}

func (f ioFS) ReadLink(name string) (string, error) {
	p, err := f.at("readlink", name)
	if err != nil {
		return "", err
	}
	target, err := readlink(f.s, p)
	return target, rel(err, name)
}

func (f ioFS) Sub(dir string) (fs.FS, error) {
	p, err := f.at("sub", dir)
	if err != nil {
		return nil, err
	}
	return ioFS{f.s, p}, nil
}
