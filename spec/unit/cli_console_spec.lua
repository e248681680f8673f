local engine <const> = require "core.console.engine"
local json <const> = require "util.json"
local promise <const> = require "util.promise"
local registry <const> = require "core.console.registry"

-- A console with a few commands; ask(line) gives the lines of the answer.
local function console(extra)
	local env <const>, words <const> = {}, {}
	local commands <const> = registry.new(env, words)
	commands:add { section = "module", section_desc = "modules", name = "reload", desc = "anew",
		args = { { name = "module" }, { name = "host", optional = true } },
		handler = function (self, name, host)
			self.session.print("reloading", name, host)
			return true, "reloaded " .. name
		end }
	commands:add { section = "module", name = "list", args = {}, handler = function ()
		return { a = 1 }
	end }
	commands:add { section = "module", name = "fail", args = {}, handler = function ()
		error "boom"
	end }
	commands:add { section = "module", name = "count", args = { { name = "n", type = "integer" } },
		flags = { value_params = { host = true }, short_params = { f = "force" } },
		handler = function (_, n, flags)
			return true, ("%s %s %s"):format(math.type(n), flags.host, flags.force)
		end }
	if extra then
		extra(commands, env, words)
	end
	local out = {}
	local e <const> = engine.new(commands, function (text) out[#out + 1] = text end)
	return function (line)
		out = {}
		e:line(line)
		local lines <const> = {}
		for one in table.concat(out):gmatch("([^\n]*)\n") do
			lines[#lines + 1] = one
		end
		return lines, lines[#lines]
	end, e
end

describe("the console", function()
	it("answers a command in words and in Prosody's form alike", function()
		local ask <const> = console()
		for _, line in ipairs { "module reload echo", 'module:reload("echo")',
			"module.reload('echo')", "  module   reload 'echo'  " } do
			assert.same({ "| reloading\techo\tnil", "OK: reloaded echo" }, (ask(line)))
		end
	end)

	it("answers every line with exactly one last line", function()
		local ask <const> = console()
		for _, line in ipairs { "module list", "1+1", "> 1+1", "modul", "for", '"', "}", "{", "x = 1",
			"error('x')", "error(nil)", "> error({})", "module", "module:nosuch()", "complete mo" } do
			local lines <const> = ask(line)
			local last = 0
			for _, answer in ipairs(lines) do
				local is_last <const> = answer:find("^OK: ") or answer:find("^Error: ")
					or answer:find("^Result: ") or answer:find('^{"') and json.decode(answer).ok ~= nil
				last = last + (is_last and 1 or 0)
			end
			assert.equal(1, last, line .. ": " .. table.concat(lines, " / "))
		end
	end)

	it("names the command that was meant", function()
		local ask <const> = console()
		assert.same({ "Error: unknown command 'modul' (did you mean 'module'?)" }, (ask "modul list"))
		assert.same({ "Error: 'module' has no command 'relod' (did you mean 'reload'?)" },
			(ask "module relod"))
		assert.same({ "Error: unknown command 'modul' (did you mean 'module'?)" },
			(ask 'modul:list()'))
	end)

	it("says what is missing, too much or of a wrong kind", function()
		local ask <const> = console()
		assert.same({ "Error: MODULE is missing (usage: module reload MODULE [HOST])" },
			(ask "module reload"))
		assert.same({ "Error: unexpected word 'c' (usage: module reload MODULE [HOST])" },
			(ask "module reload a b c"))
		assert.same({ "Error: N: 'x' is not a whole number" }, (ask "module count x"))
	end)

	it("gives flags to a handler as Prosody 13 does", function()
		assert.same({ "OK: integer h true" }, (console() "module count 3 --host=h -f"))
	end)

	it("turns an error in a handler into one line", function()
		local _, last = console() "module fail"
		assert.matches("^Error: .*boom$", last)
	end)

	it("answers JSON with JSON", function()
		local ask <const> = console()
		local lines <const> = ask '{"argv":["module","reload","a b"],"json":true,"width":80}'
		assert.same({ output = "reloading\ta b\tnil" }, json.decode(lines[1]))
		local last <const> = json.decode(lines[2])
		assert.is_true(last.ok)
		assert.equal(0, last.exit)
		assert.equal("reloaded a b", last.result)
		local _, bad = ask '{"argv":["modul"]}'
		assert.is_false(json.decode(bad).ok)
		assert.equal(2, json.decode(bad).exit)
	end)

	it("refuses broken JSON with a clear error", function()
		local ask <const> = console()
		for line, words in pairs {
			['{"argv":'] = "^not JSON: ", ['{"argv":[]}'] = "must be a list of 1 to 64 words",
			['{"argv":[1]}'] = "must hold strings; number 1 is a number",
			['{}'] = "must be a list",
		} do
			local lines, last = ask(line)
			assert.equal(1, #lines)
			assert.matches(words, json.decode(last).error)
		end
	end)

	it("gives sections and harmless functions to Lua, and no more", function()
		local ask <const> = console()
		assert.same({ "Result: 3" }, (ask "math.max(1, 3)"))
		assert.same({ "| hi\t3", "OK: done" }, (ask "print('hi', 3)"))
		assert.matches("^Error: unknown command 'os'", select(2, ask "os.exit()"))
		assert.matches("^Error: unknown command 'require'", select(2, ask "require 'posix'"))
		ask "string.rep = nil"
		assert.equal("function", type(string.rep))
	end)

	it("gives the real _G to a line that begins with >", function()
		local ask <const> = console()
		assert.same({ "Result: table" }, (ask "> type(package.loaded)"))
		ask "> left_behind = 1"
		assert.is_nil(rawget(_G, "left_behind"))
		assert.same({ "Result: 1" }, (ask "> left_behind"))
	end)

	it("waits for a promise and goes on with the next line after it", function()
		local resolve
		local ask <const> = console(function (commands)
			commands:add { name = "later", args = {}, handler = function ()
				return promise.new(function (done) resolve = done end)
			end }
		end)
		assert.same({}, (ask "later"))
		assert.same({}, (ask "1+1"))
		local lines <const> = ask "2+2"
		assert.same({}, lines)
		resolve "now"
	end)

	it("asks the person for what a command asks for", function()
		local ask <const> = console(function (commands)
			commands:add { name = "ask", args = {}, handler = function (self)
				local answer = require "util.async".wait_for(self.session.request_input("password"))
				return true, "got " .. tostring(answer)
			end }
		end)
		assert.same({ "? password" }, (ask "ask"))
		assert.same({ "OK: got secret" }, (ask "secret"))
	end)

	it("runs commands and words of modules for Prosody 0.12", function()
		local ask <const> = console(function (_, env, words)
			env.old = { hi = function (self, name)
				self.session.print("from", name)
				return true, "hi " .. name
			end }
			words.plain = function (session, line) session.print(line) end
		end)
		assert.same({ "| from\tme", "OK: hi me" }, (ask "old:hi('me')"))
		assert.same({ "| from\tme", "OK: hi me" }, (ask "old hi me"))
		assert.same({ "| plain words", "OK: done" }, (ask "plain words"))
	end)

	it("picks the command of the host that its argument names", function()
		local ask <const> = console(function (commands)
			for _, host in ipairs { "a.example", "b.example" } do
				commands:add({ section = "user", name = "list", host_selector = "host",
					args = { { name = "host" } },
					handler = function () return true, "from " .. host end }, host)
			end
		end)
		assert.same({ "OK: from a.example" }, (ask "user list a.example"))
		assert.same({ "OK: from b.example" }, (ask 'user:list("b.example")'))
		assert.same({ "Error: 'user list' is not available on 'c.example'" },
			(ask "user list c.example"))
	end)

	it("completes sections, commands and both forms", function()
		local ask <const> = console()
		assert.same({ "| module", "OK: 1 candidates" }, (ask "complete mo"))
		assert.same({ "| reload", "OK: 1 candidates" }, (ask "complete module re"))
		assert.same({ "| module:reload", "OK: 1 candidates" }, (ask "complete module:re"))
		assert.same({ "| --host", "OK: 1 candidates" }, (ask "complete module count --ho"))
		local _, last = ask "complete module "
		assert.equal("OK: 4 candidates", last)
	end)

	it("writes control characters so that a terminal is not harmed", function()
		local ask <const> = console()
		assert.same({ "Result: a\\x1b[2Jb" }, (ask [["a\27[2Jb"]]))
	end)

	it("brings an older command back when the newer one of its name is removed", function()
		local commands <const> = registry.new()
		commands:add { section = "s", name = "c", handler = function () return 1 end }
		local newer <const> = commands:add { section = "s", name = "c", handler = function () end }
		commands:remove(newer)
		assert.equal(1, commands:find("s", "c").handler())
	end)

	it("refuses lines that pile up behind a running command", function()
		local ask <const> = console(function (commands)
			commands:add { name = "hang", args = {}, handler = function ()
				return promise.new(function () end)
			end }
		end)
		ask "hang"
		local last
		for _ = 1, 100 do
			local _, answer = ask "1"
			last = answer or last
		end
		assert.equal("Error: too many lines wait for the running command", last)
	end)
end)
