--- Where net.server means to differ from the server_epoll of Prosody 0.12.3 that the spec runs.
-- Each entry: probe; theirs and ours = lines of the trace, one for the other; fact = number in
-- facts/prosody-api.md; why. An entry whose lines do not come up any more fails the spec.

local differences <const> = {}

local function differs(probe, fact, why, theirs, ours)
	differences[#differences + 1] = {
		probe = probe, fact = fact, why = why, theirs = theirs, ours = ours,
	}
end

local thirteen <const> = "13.0 says why the connection ended; 0.12 lost the word on its way"
for _, probe in ipairs { "the handle in ondisconnect", "a line without an end",
	"the remote end closes", "the remote end resets", "the remote end closes its half",
	"data and the end together", "whatever there is, and the end",
	"a read exactly as long as the read size, and the end",
	"more comes while a handler reads, and the end", "data and the end together over TLS" } do
	differs(probe, "1.4", thirteen, { "server ondisconnect nil" },
		{ 'server ondisconnect "closed"' })
end

differs("the remote end closes its half while an answer waits", "1.3",
	"close flushes what is pending; 0.12 reads the end a second time and destroys it unsent",
	{ 'peer "" "closed"' }, { 'peer "answer" "closed"' })
differs("close twice to a peer that does not read", "1.3",
	"what was written before close goes until send_timeout or shutdown_deadline; in 0.12 a second "
	.. "close, which setquitting makes after 1 s, drops it",
	{ "told 1", "all false" }, { "told nil", "all true" })
differs("addclient with a type that the address is not of", "1.2",
	"all words of the system begin in lower case, not only those that LuaSocket has of its own",
	{ 'tcp6 nil "Address family for hostname not supported"' },
	{ 'tcp6 nil "address family for hostname not supported"' })
differs("close in onconnect", "1.3",
	"close flushes and ends with nil; 0.12 reads on after it and takes that for a failed connect",
	{ 'server ondisconnect "connection timeout"', 'peer "" "closed"' },
	{ "server ondisconnect nil", 'peer "bye" "closed"' })
differs("a peer that never reads and a close", "1.4",
	"it was connected, so it is a write timeout; 0.12 forgets that at close",
	{ 'server ondisconnect "connection timeout"' }, { 'server ondisconnect "write timeout"' })

local buffered <const> = "what LuaSocket had read ahead when the pause came waits in 0.12 until "
	.. "more comes, for ever if none does; here resume delivers it"
differs("link with a small read size", "1.7", buffered,
	{ "timed out", 'far "thro"' }, { 'far "through the link"' })
differs("pause in onincoming", "1.7", buffered,
	{ "timed out" }, { 'server onincoming "efgh"' })
differs("the end while reading is paused", "1.3",
	"pause stops reading, the end among it; epoll's hangup passes 0.12's pause",
	{ 'server onincoming "x" "closed"', "server ondisconnect nil", 'paused "x" 1' },
	{ 'paused "" nil', 'server onincoming "x" "closed"', 'server ondisconnect "closed"' })

differs("listen on an address that is not ours", "1.2",
	"all words of the system begin in lower case, not only those that LuaSocket has of its own",
	{ 'listen nil "Cannot assign requested address"' },
	{ 'listen nil "cannot assign requested address"' })
differs("listen on every address", "1.3",
	"a listener says the address that the kernel bound",
	{ "*" }, { "0.0.0.0" })
differs("addresses of an accepted connection", "1.5",
	"a port is a number, as on event and select; 0.12 has LuaSocket's text and no port of a "
	.. "listener",
	{ 'serverport "string"' }, { 'serverport "number"' })
differs("addresses of an accepted connection", "1.5",
	"serverport of a listener is its port, as on event and select; nil in epoll",
	{ 'listening "nil" "number"' }, { 'listening "number" "number"' })
differs("the end hides everything", "1.3",
	"after the end a write is a silent no-op, by destroy as by close",
	{ "write 1" }, { "write" })
differs("what the module has", "1.2", "13.0 has tls_builder",
	{ "tls_builder nil" }, { "tls_builder function" })
differs("what 13.0 asks a plain connection about TLS", "1.3", "13.0 has these methods",
	{ "sslctx nil false", "ssl_info nil false", "ssl_peercertificate nil false",
		"ssl_peerverification nil false", "ssl_peerfinished nil false",
		"ssl_exportkeyingmaterial nil false" },
	{ "sslctx true true", "ssl_info true true", "ssl_peercertificate true true",
		"ssl_peerverification true true", "ssl_peerfinished true true",
		"ssl_exportkeyingmaterial true true" })
differs("fatal_errors ends the connection", "1.4",
	"the error is logged in the same words whatever follows",
	{ "log error: Closing due to error calling onincoming: of the probe" },
	{ "log error: Error calling onincoming: of the probe" })
differs("write of something else", "1.3",
	"what cannot be written raises where it is written; 0.12 raises later, out of the loop",
	{ "table" }, { "table raises" })
differs("opportunistic writes", "1.3",
	"write answers with the length; 0.12 with what the send answered",
	{ "write 3.0 nil" }, { "write 3" })

differs("the object of wrapclient afterwards", "1.2",
	"the object lets go of its socket, which is ours from then on; event and select answer with a "
	.. "socket too",
	{ "second false", 'ip "127.0.0.1" PORT "inet"', "open true" },
	{ "second true", 'ip "127.0.0.1" PORT "inet"', "open false" })
differs("the object of wrapserver afterwards", "1.2",
	"the object lets go of its socket, which is ours from then on",
	{ "open true" }, { "open false" })
differs("the socket of a connection that has ended", "1.3",
	"callers ask socket() without a look at what they get, so it is never nil",
	{ "socket false" }, { "socket true", "getfd -1", 'getalpn nil "not-connected"',
		'info nil "not-connected"', 'getpeercertificate nil "not-connected"' })

differs("starttls after a write", "1.3",
	"with nothing left to send TLS begins at once, so that what is written next cannot go in clear",
	{ "field false", "server onstarttls" }, { "server onstarttls", "field false" })

differs("a queue that is full", "1.3",
	"13.0 bounds the queue by max_send_buffer_size; 0.12 does not",
	{ "too much PORT", "ended nil", "ended nil" },
	{ "too much false", "ended nil", 'server ondisconnect "no space left in buffer"', "ended 1" })
differs("an unprotected callback raises out of the loop", "1.4",
	"callbacks are always protected: a worker does not end by a module's error",
	{ "loop raises" }, { "log error: Error calling onincoming: of the probe", "loop true" })

return differences
