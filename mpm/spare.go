package mpm

// The rate at which children are spawned for want of idle threads, as
// perform_idle_server_maintenance of httpd's MPMs.
const (
	maxSpawnRate  = 32
	busySpawnRate = 8
	// holdAfterRestart is for how many ticks after a graceful restart the rate
	// does not double: old children still serve.
	holdAfterRestart = 10
)

// spares is the arithmetic of spare threads: how many children to spawn or
// whether to end one; or threads, where a child's come and go.
type spares struct {
	rate int // children to spawn at the next tick; 0 counts as 1
	hold int // ticks for which the rate does not double
	full bool
}

// tick decides from the number of idle threads and of free process slots.
func (sp *spares) tick(c *Config, idle, free int, what string, logf func(string, ...any)) (spawn int, kill bool) {
	sp.rate = max(1, sp.rate)
	switch {
	case idle > c.MaxSpare:
		sp.rate = 1
		return 0, true
	case idle >= c.MinSpare:
		sp.rate = 1
		return 0, false
	case free == 0:
		if !sp.full {
			logf("server reached max_clients setting, consider raising it (max_clients = %d)", c.MaxClients)
			sp.full = true
		}
		sp.rate = 1
		return 0, false
	}
	if sp.rate >= busySpawnRate {
		logf("server seems busy, (you may need to increase the spare settings): starting %d %s, there are %d idle",
			sp.rate, what, idle)
	}
	spawn = min(sp.rate, free)
	if sp.hold > 0 {
		sp.hold--
	} else if sp.rate < maxSpawnRate {
		sp.rate *= 2
	}
	return spawn, false
}
