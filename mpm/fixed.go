package mpm

// fill keeps a fixed number of children: it starts one for each place without.
// A child that is to end, and finishes what it answers, has given up its place;
// it still has its slot, so that there are more slots than places.
func (p *Parent) fill() error {
	held := make([]bool, min(p.cfg.StartServers, p.cfg.MaxServers()))
	for slot, pid := range p.slots {
		c := p.children[pid]
		if pid != 0 && c.generation == p.score.Generation() && p.score.quiescing(slot) == 0 && c.place < len(held) {
			held[c.place] = true
		}
	}
	for place, ok := range held {
		if ok {
			continue
		}
		if p.free() == 0 {
			return nil
		}
		if err := p.spawnOne(place); err != nil {
			return err
		}
		p.relieve(place)
	}
	return nil
}

// relieve makes the child end that asked for the replacement which has now been
// started. No other child reads the pipe of death then: the replacement waits
// for the start mutex.
func (p *Parent) relieve(place int) {
	for slot, pid := range p.slots {
		c := p.children[pid]
		if pid != 0 && c.place == place && c.generation == p.score.Generation() && p.score.quiescing(slot) == wantsRelief {
			p.podWrite()
		}
	}
}
