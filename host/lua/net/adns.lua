--- Names, asked without waiting: net.adns as modules know it from Prosody with libunbound, over
-- c-ares (host.resolver). A and AAAA go through /etc/hosts and the search list.

local dns <const> = require "util.dns"
local errors <const> = require "util.error"
local host_resolver <const> = require "host.resolver"
local log <const> = require "util.logger".init("adns")
local promise <const> = require "util.promise"

local adns <const> = {}

-- Another one while specs or `settings` want it.
local settings = {}
local shared

local function system()
	if not shared then
		local made, err = host_resolver.new(settings)
		if not made then
			return nil, err
		end
		shared = made
	end
	return shared
end

--- Replaces how names are asked; open questions of the old settings end with "canceled".
-- @param options nil or { servers = "ip:port,…", search = "words", ndots =, timeout = ms, tries = }
function adns.settings(options)
	settings = options or {}
	if shared then
		shared:close()
		shared = nil
	end
end

-- Answers --

local answer_mt <const> = { __tostring = function (answer)
	local lines <const> = { "Status: " .. answer.status }
	for i, record in ipairs(answer) do
		lines[i + 1] = ("%s\t%s\t%s\t%s"):format(answer.qname, answer.class, answer.type,
			tostring(record))
	end
	return table.concat(lines, "\n")
end }

local function new_answer(raw, qname, qtype, qclass)
	return setmetatable({
		qname = qname, rcode = raw.rcode, truncated = raw.truncated,
		status = dns.errors[raw.rcode] or tostring(raw.rcode), type = qtype, class = qclass,
		qtype = dns.types[qtype], qclass = dns.classes[qclass],
	}, answer_mt)
end

-- Records are answers' fields too: record.qname and the like.
local function add(answer, field, value, ttl)
	answer[#answer + 1] = setmetatable({ [field] = value, ttl = ttl }, {
		__index = answer,
		__tostring = function (record) return tostring(record[field]) end,
	})
end

-- The name that the aliases of an answer lead to: records of other names prove nothing.
local function follow(raw, name)
	local aliases <const> = {}
	for _, record in ipairs(raw) do
		if record.type == dns.types.CNAME then
			local from, to = dns.read_name(record.name), dns.parsers.CNAME(record.rdata)
			if from and to then
				aliases[from:lower()] = to:lower()
			end
		end
	end
	for _ = 1, 16 do
		local to = aliases[name]
		if not to then
			return name
		end
		name = to
	end
	return name
end

local function parse_records(raw, qname, qtype, qclass)
	local answer <const> = new_answer(raw, qname, qtype, qclass)
	local field <const>, parse <const> = qtype:lower(), dns.parsers[qtype]
	local owner = (qname:lower():gsub("%.$", ""))
	if qtype ~= "CNAME" then
		owner = follow(raw, owner)
	end
	for _, record in ipairs(raw) do
		if record.type == answer.qtype and record.class == answer.qclass
			and (dns.read_name(record.name) or ""):lower() == owner then
			local value = parse(record.rdata)
			if value then
				add(answer, field, value, record.ttl)
			else
				log("warn", "%s %s: a record that is none was left out", qname, qtype)
			end
		end
	end
	return answer
end

local families <const> = { A = 4, AAAA = 6 }

local function parse_addresses(raw, qname, qtype, qclass)
	local answer <const> = new_answer(raw, qname, qtype, qclass)
	for _, item in ipairs(raw) do
		add(answer, qtype:lower(), item.address, item.ttl)
	end
	return answer
end

-- Questions --

local query_methods <const> = {}
local query_mt <const> = { __index = query_methods }

--- Ends the question; its callback hears nil, "canceled".
-- @return whether it was still open
function query_methods:cancel()
	return self.resolver:cancel(self.id)
end

local function ask(resolver, callback, qname, qtype, qclass)
	local parse = parse_records
	local function on_raw(raw, err)
		if not raw then
			log("debug", "%s %s: %s", qname, qtype, err)
			return callback(nil, err)
		end
		local answer <const> = parse(raw, qname, qtype, qclass)
		log("debug", "%s %s: %s, %d records", qname, qtype, answer.status, #answer)
		return callback(answer)
	end
	if families[qtype] and qclass == "IN" then
		parse = parse_addresses
		return resolver:addresses(qname, families[qtype], on_raw)
	end
	return resolver:records(qname, dns.classes[qclass], dns.types[qtype], on_raw)
end

--- Asks; the callback comes from the loop, never from inside this call.
-- @param callback fn(answer) or fn(nil, "timeout" and the like). An answer is a list of records
-- with the field of their type (record.a, record.srv.target, …), and has status ("NOERROR",
-- "NXDOMAIN", …), qname, and tostring. A name that does not exist is an answer without records
-- @param qtype "A" (default), "AAAA", "SRV", "TXT", "TLSA", …
-- @param qclass "IN" (default)
-- @return query with cancel(); or nil, error
function adns.lookup(callback, qname, qtype, qclass)
	qtype, qclass = (qtype or "A"):upper(), (qclass or "IN"):upper()
	if not dns.types[qtype] or not dns.classes[qclass] then
		return nil, "unknown type or class"
	elseif qname == "" or qname:find("\0", 1, true) then
		return nil, "invalid name"
	end
	local resolver, err = system()
	if not resolver then
		return nil, err
	end
	local id
	id, err = ask(resolver, callback, qname, qtype, qclass)
	if not id then
		return nil, err
	end
	return setmetatable({ resolver = resolver, id = id }, query_mt)
end

--- Addresses of both families in the order of RFC 6724.
-- @param callback fn(list of { address =, family = 4 | 6, ttl = }) or fn(nil, error); the list has
-- rcode too
-- @return query with cancel(); or nil, error
function adns.addresses(callback, name)
	local resolver, err = system()
	if not resolver then
		return nil, err
	elseif name == "" or name:find("\0", 1, true) then
		return nil, "invalid name"
	end
	local id
	id, err = resolver:addresses(name, 0, callback)
	return id and setmetatable({ resolver = resolver, id = id }, query_mt), err
end

--- The same as a promise; rejected with an util.error whose text is the reason.
function adns.lookup_promise(qname, qtype, qclass)
	return promise.new(function (resolve, reject)
		local function fail(err)
			reject(errors.new({ type = "wait", condition = "remote-server-not-found", text = err }))
		end
		local query, err = adns.lookup(function (answer, why)
			if answer then
				resolve(answer)
			else
				fail(why)
			end
		end, qname, qtype, qclass)
		if not query then
			fail(err)
		end
	end)
end

--- Ends a question, as query:cancel().
function adns.cancel(query)
	return query:cancel()
end

local function nothing() end

local resolver_object <const> = { _resolver = { settimeout = nothing, closeall = nothing } }

function resolver_object:lookup(...) -- luacheck: ignore 212/self
	return adns.lookup(...)
end

function resolver_object:lookup_promise(...) -- luacheck: ignore 212/self
	return adns.lookup_promise(...)
end

function resolver_object:addresses(...) -- luacheck: ignore 212/self
	return adns.addresses(...)
end

--- What Prosody's callers hold: lookup(callback, name, type, class), lookup_promise(name, …).
function adns.resolver()
	return resolver_object
end

--- Names and numbers; asking and waiting is not possible inside the loop.
adns.dns = {
	types = dns.types, classes = dns.classes, cancel = adns.cancel, purge = function ()
		adns.settings(settings)
		return true
	end,
	settimeout = nothing, cache = nothing, query = nothing, peek = nothing, random = nothing,
	socket_wrapper_set = nothing,
	lookup = function () return nil, "not possible inside the loop: use net.adns" end,
}

return adns
