//go:build race

package simtests

const raceDetector = true
