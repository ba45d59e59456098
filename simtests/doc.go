// Package simtests holds the tests of the server as a whole: the same table on
// the simulated kernel and on the real one, and the rules that keep the code
// fit to run on both.
package simtests
