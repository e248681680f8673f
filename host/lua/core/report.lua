-- The shutdown report: what a stop did, what it cut, and with which status the host ends.

local array <const> = require "util.array"
local datetime <const> = require "util.datetime"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local log <const> = require "util.logger".init("lifecycle")
local places <const> = require "core.places"

local report <const> = {}

--- Exit statuses of a stop (gadwall(8), EXIT STATUS).
report.CLEAN, report.FAILED, report.EXPIRED = 0, 70, 75

-- Enough to see the pattern; a handler that fails for each of 10,000 connections must not fill a
-- disk.
local max_errors <const> = 100

--- The result in one word.
-- @param stop the record of the stop: `phases`, `failed`
-- @return "failed", "expired" or "clean"
function report.result(stop)
	local expired, failed = stop.expired, stop.failed
	for _, phase in ipairs(stop.phases) do
		expired = expired or phase.result == "expired"
		failed = failed or phase.result == "failed"
	end
	return expired and "expired" or failed and "failed" or "clean"
end

--- The exit status, the first that applies: a non-zero code of shutdown(), 75, 70, 0.
-- @param stop as for result()
-- @return integer 0 to 255
function report.exit_status(stop)
	local code = math.tointeger(tonumber(stop.code))
	if code and code ~= 0 then
		return code & 255
	end
	local result = report.result(stop)
	return result == "expired" and report.EXPIRED or result == "failed" and report.FAILED
		or report.CLEAN
end

--- Notes an error that a handler raised during the stop: it changes no status, it is only told.
-- @param stop the record
-- @param event name of the event
-- @param module name of the module, or nil
-- @param err the error
function report.error(stop, event, module, err)
	local errors = stop.errors
	if #errors < max_errors then
		errors[#errors + 1] = {
			event = event, module = module or json.null, error = tostring(err):match("^[^\n]*"),
		}
	end
end

-- Milliseconds are enough for a person, and for a spec that compares two machines.
local function rounded(seconds)
	if math.type(seconds) == "integer" then
		return seconds
	end
	return math.floor(seconds * 1000 + 0.5) / 1000
end

local function phase_records(stop)
	local list, holders = {}, {}
	for i, phase in ipairs(stop.phases) do
		list[i] = {
			phase = phase.phase, seconds = rounded(phase.seconds),
			budget = phase.budget and rounded(phase.budget) or json.null,
			result = phase.result, closed = phase.closed, error = phase.error,
		}
		for _, holder in ipairs(phase.holders or {}) do
			holders[#holders + 1] = {
				phase = phase.phase, module = holder.module or json.null, hold = holder.hold,
				conn = holder.conn or json.null, seconds = rounded(holder.seconds),
			}
		end
	end
	return list, holders
end

--- Builds the report object.
-- @param stop the record: reason, code, origin, verb, evict, generation, at (real time of the
--   begin), seconds, phases, errors, lost, hurried
-- @return table, ready for json.encode
function report.build(stop)
	local phases, holders = phase_records(stop)
	local lost = stop.lost or {}
	return json_fields.order({
		schema = 1, result = report.result(stop), exit = report.exit_status(stop),
		reason = stop.reason or json.null, code = stop.code or json.null,
		origin = stop.origin or json.null, verb = stop.verb or "shutdown", evict = stop.evict,
		generation = stop.generation or json.null, started = datetime.datetime(stop.at),
		seconds = rounded(stop.seconds), phases = array(phases), holders = array(holders),
		errors = array(table.move(stop.errors, 1, #stop.errors, 1, {})),
		lost = {
			connections = lost.connections or 0, bytes_unsent = lost.bytes_unsent or 0,
			jobs = lost.jobs or 0,
		},
		hurried = stop.hurried or 0,
	}, "report")
end

--- Tells the report: one line in the log, and the file of `shutdown_report` if there is one.
-- @param built the object of build()
-- @param path file, or nil
-- @return the JSON text
function report.publish(built, path)
	local text = json_fields.encode(built)
	log("info", "shutdown report: %s", text)
	if path then
		local ok, err = places.replace(path, text .. "\n")
		if not ok then
			log("error", "shutdown_report: %s", err)
		end
	end
	return text
end

--- A short form for the keeper's message, which has room for 900 bytes.
-- @param built the object of build()
-- @return JSON text
function report.short(built)
	local text = json.encode(built)
	if #text <= 900 then
		return text
	end
	local short = {}
	for key, value in pairs(built) do
		short[key] = value
	end
	short.phases, short.holders, short.errors = nil, nil, nil
	if type(short.reason) == "string" then
		short.reason = json_fields.cut(short.reason, 200)
	end
	short.truncated = true
	return json.encode(json_fields.order(short, "report"))
end

return report
