package server

// Phase is a stretch of the server's life.
type Phase string

// The phases in order.
const (
	PhaseConfigure Phase = "configure"
	PhasePreJail   Phase = "prejail"
	PhaseListen    Phase = "listen"
	PhaseJail      Phase = "jail"
	PhaseMPM       Phase = "mpm"
	PhaseServe     Phase = "serve"
	PhaseStop      Phase = "stop"
)
