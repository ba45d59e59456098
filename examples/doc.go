// Package examples holds the code that the documentation shows. Each Go snippet
// of docs is a part of a file of this repository that is compiled, and mostly of
// one below this folder that is run; docs_test.go holds the two together.
//
// The folder daytimed is a whole daemon, with its tests.
package examples
