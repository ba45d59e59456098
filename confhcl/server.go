package confhcl

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// config decodes the whole file.
func (d *decoder) config(body *hclsyntax.Body) *Config {
	top := hcl.Range{Filename: body.SrcRange.Filename, Start: hcl.InitialPos, End: hcl.InitialPos}
	d.check(body, top, schemaOf(""))
	c := defaults()
	c.Listen = d.listen(body)
	d.absolute(body, "server_root", &c.ServerRoot)
	c.ServerName = d.serverName(body)
	d.duration(body, "timeout", time.Millisecond, &c.Timeout)
	d.boolean(body, "keep_alive", &c.KeepAlive)
	d.duration(body, "keep_alive_timeout", time.Millisecond, &c.KeepAliveTimeout)
	d.count(body, "max_keep_alive_requests", 0, math.MaxInt32, &c.MaxKeepAliveRequests)
	d.located(body, "error_log", &c.ErrorLog)
	d.located(body, "types_config", &c.TypesConfig)
	// Apache 2.0 cannot go over its compiled maximum (server/core.c), and
	// with a limit of 0 it answers no request at all.
	d.count(body, "limit_request_line", 1, 8190, &c.LimitRequestLine)
	d.count(body, "limit_request_field_size", 1, 8190, &c.LimitRequestFieldSize)
	d.integer(body, "limit_request_body", 0, math.MaxInt32, &c.LimitRequestBody)
	c.Jail = d.jail(body)
	c.Sites = d.sites(body)
	if len(c.Sites) == 0 && !d.partial {
		d.errorf(top, "Missing block", `At least one site block is needed, such as site { document_root = "/" }.`)
	}
	c.MPM = d.mpm(body, c.ServerRoot)
	if !d.partial {
		d.assignments(c)
	}
	return c
}

func (d *decoder) jail(body *hclsyntax.Body) *Jail {
	b := d.block(body, "jail")
	if b == nil {
		return nil
	}
	at := b.DefRange()
	j := &Jail{Order: OrderApache2, Range: at, RootRange: at, UserRange: at, GroupRange: at}
	if d.absolute(b.Body, "root", &j.Root) {
		j.RootRange = b.Body.Attributes["root"].Expr.Range()
		if strings.Trim(j.Root, "/") == "" {
			d.warnf(j.RootRange, "The jail is the whole machine", "A root of %q locks nothing out.", j.Root)
		}
	}
	if d.account(b.Body, "user", &j.User) {
		j.UserRange = b.Body.Attributes["user"].Expr.Range()
		if superuser(j.User) {
			d.warnf(j.UserRange, "The jail does not hold root", "A process of root can leave a chroot.")
		}
	}
	if d.account(b.Body, "group", &j.Group) {
		j.GroupRange = b.Body.Attributes["group"].Expr.Range()
	}
	d.word(b.Body, "order", []string{OrderApache2, OrderApache13, OrderPerChild}, &j.Order)
	if j.After = d.strings(b.Body, "after"); len(j.After) > 0 && j.Order != OrderApache13 {
		d.errorf(j.After[0].Range, "Contradiction",
			"after is for the order %q, in which the jail is one of the modules; this one is %q.", OrderApache13, j.Order)
	}
	return j
}

// account stores the name of a user or group, or "#" and its number. It
// reports whether there was one.
func (d *decoder) account(body *hclsyntax.Body, name string, to *string) bool {
	var given string
	if !d.str(body, name, &given) {
		return false
	}
	at := body.Attributes[name].Expr.Range()
	// A line of passwd(5) or group(5) could not hold such a name.
	if given == "" || strings.ContainsFunc(given, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) {
		d.errorf(at, "Invalid "+name, `%s is a name, or "#" and a number.`, name)
		return false
	}
	// The highest id is -1 to the kernel: "leave it as it is" (setresuid(2)).
	if id, ok := strings.CutPrefix(given, "#"); ok {
		if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == math.MaxUint32 {
			d.errorf(at, "Invalid "+name, `The number after "#" has to be from 0 to %d.`, uint32(math.MaxUint32-1))
			return false
		}
	}
	*to = given
	return true
}

// superuser reports whether a user or group is known to be number 0 without
// looking it up.
func superuser(account string) bool {
	id, numeric := strings.CutPrefix(account, "#")
	return account == "root" || numeric && strings.Trim(id, "0") == ""
}

func (d *decoder) listen(body *hclsyntax.Body) []Listen {
	a := body.Attributes["listen"]
	if a == nil {
		return nil
	}
	if tuple, ok := a.Expr.(*hclsyntax.TupleConsExpr); ok && len(tuple.Exprs) == 0 {
		d.errorf(tuple.Range(), "No address", `listen needs at least one address, such as "127.0.0.1:8080".`)
	}
	var found []Listen
	var bound []netip.AddrPort // an invalid Addr is all addresses
addresses:
	for _, given := range d.strings(body, "listen") {
		addr, err := parseListen(given.Value)
		if err != "" {
			d.errorf(given.Range, "Invalid address", "%s", err)
			continue
		}
		for i, other := range bound {
			line := found[i].Range.Start.Line
			switch {
			case addr.Port() == 0: // each gets a port of its own
			case addr == other:
				d.errorf(given.Range, "Duplicate address", "%s is listened on already, on line %d.", found[i].Address, line)
				continue addresses
			case overlap(addr, other):
				d.errorf(given.Range, "Overlapping addresses",
					"%s and %s (line %d) cannot both be bound: one is all addresses of the same port.",
					given.Value, found[i].Address, line)
				continue addresses
			}
		}
		l := Listen{Address: addr.String(), Range: given.Range}
		if !addr.Addr().IsValid() {
			l.Address = ":" + strconv.Itoa(int(addr.Port()))
		}
		found, bound = append(found, l), append(bound, addr)
	}
	return found
}

// overlap reports whether the kernel would refuse to bind both addresses
// (EADDRINUSE, ip(7)).
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	if !a.Addr().IsValid() || !b.Addr().IsValid() {
		return true
	}
	return a.Addr().Is4() == b.Addr().Is4() && (a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// parseListen reads Apache's forms: "8080", "*:8080", "127.0.0.1:8080" and
// "[::1]:8080". It returns what is wrong as a sentence.
func parseListen(s string) (netip.AddrPort, string) {
	const form = `An address is "8080" for all addresses, "127.0.0.1:8080" or "[::1]:8080".`
	host, port, found := "", s, false
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port, found = s[:i], s[i+1:], true
	}
	if port == "" || strings.Trim(port, "0123456789") != "" {
		return netip.AddrPort{}, "The port is missing or not a number. " + form
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, "The port has to be from 0 to 65535; 0 takes a free one."
	}
	var addr netip.Addr
	if bare, ok := strings.CutPrefix(host, "["); ok {
		bare, closed := strings.CutSuffix(bare, "]")
		addr, err = netip.ParseAddr(bare)
		if err != nil || !closed || !addr.Is6() {
			return netip.AddrPort{}, "Square brackets hold an IPv6 address. " + form
		}
	} else if found && host != "" && host != "*" {
		addr, err = netip.ParseAddr(host)
		switch {
		case err == nil && addr.Is6():
			return netip.AddrPort{}, "An IPv6 address stands in square brackets. " + form
		case err != nil:
			return netip.AddrPort{}, "The host has to be an IP address; names are not looked up. " + form
		}
	}
	return netip.AddrPortFrom(addr, uint16(n)), ""
}
