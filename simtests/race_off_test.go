//go:build !race

package simtests

// raceDetector says that the tests run with it. It has something to say where
// threads run at once: on the free-running kernel. On the deterministic one each
// switch orders what was before and after it, and on the real one the server is
// another process, built without.
const raceDetector = false
