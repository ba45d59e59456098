package simtests

import (
	"fmt"
	"strings"
)

// eventConf is seed for event, which has no accept mutex.
func eventConf(rest string) string {
	return strings.Replace(fmt.Sprintf(seed, "event", "none", rest), "accept_mutex    = \"none\"\n", "", 1)
}

func eventScenarios() []scenario {
	conf := eventConf(fewThreads)
	return []scenario{
		{"serve and stop/event", func(o *operator) { serveAndStop(o, conf) }},
		{"kill a child/event", func(o *operator) { killChild(o, conf) }},
		{"kill the parent/event", func(o *operator) { killParent(o, conf) }},
	}
}
