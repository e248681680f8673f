-- busted output handler for contrib/dev/run-tests: one line a test as it ends, so that a spec that
-- hangs or leaves by os.exit() is seen for what it is.
--   T pass|fail|skip NAME        one test (an error outside a test counts as fail)
--   M TEXT                       a line of the failure above
--   T end                        the file came to its end

return function()
	local busted <const> = require "busted"
	local handler <const> = require "busted.outputHandlers.base"()

	local function say(...)
		io.stdout:write("\n", table.concat({ ... }, " "), "\n")
		io.stdout:flush()
	end

	local function message(text)
		for line in (text .. "\n"):gmatch("([^\n]*)\n") do
			io.stdout:write("M ", line, "\n")
		end
		io.stdout:flush()
	end

	local function describe_failure(element, text, trace)
		local where = trace and trace.short_src and (trace.short_src .. ":" .. trace.currentline)
			or element.trace and element.trace.short_src
			and (element.trace.short_src .. ":" .. element.trace.currentline) or "?"
		if type(text) ~= "string" then
			local ok, pretty = pcall(function() return require "pl.pretty".write(text) end)
			text = ok and pretty or tostring(text)
		end
		message(where .. ": " .. text)
		if trace and trace.traceback then message(trace.traceback) end
	end

	local failed_inside

	local function test_start()
		failed_inside = nil
		return nil, true
	end

	local function test_end(element, _, status)
		local name = handler.getFullName(element)
		if status == "success" then
			say("T pass", name)
		elseif status == "pending" then
			say("T skip", name)
		else
			say("T fail", name)
			if failed_inside then describe_failure(table.unpack(failed_inside, 1, 3)) end
		end
		return nil, true
	end

	local function failure(element, _, text, trace)
		if element.descriptor == "it" then
			failed_inside = { element, text, trace }
		else
			say("T fail", handler.getFullName(element) .. " (" .. element.descriptor .. ")")
			describe_failure(element, text, trace)
		end
		return nil, true
	end

	busted.subscribe({ "test", "start" }, test_start)
	busted.subscribe({ "test", "end" }, test_end)
	busted.subscribe({ "failure" }, failure)
	busted.subscribe({ "error" }, failure)
	busted.subscribe({ "suite", "end" }, function() say("T end") return nil, true end)
	handler.subscribe = function() end
	return handler
end
