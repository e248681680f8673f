-- make compat-specs: runs Prosody's published specs of the libraries that we have (unpacked by
-- `contrib/deps.sh peers`) against this tree and prints what passed. Runs in plain Lua; GADWALL
-- names the binary under test. spec/system/published_specs_spec.lua holds the same in `make test`.

package.path = "./.deps/share/lua/5.4/?.lua;./.deps/share/lua/5.4/?/init.lua;" .. package.path
package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath

local published <const> = require "spec.support.published"

local program <const> = os.getenv("GADWALL") or "build/test/gadwall"

if not published.folder() then
	io.stderr:write("no specs in .deps/peers: run contrib/deps.sh peers\n")
	os.exit(1)
end

local sum <const> = { passed = 0, differs = 0, failed = 0 }

local function note(one, name)
	local reason <const> = one.differs and one.differs[name]
	local kind <const> = reason and "differs" or "failed"
	sum[kind] = sum[kind] + 1
	return reason and ("    differs: %s (%s)"):format(name, reason) or "    FAILED: " .. name
end

for _, one in ipairs(published.list) do
	local result <const> = published.run(one, program)
	sum.passed = sum.passed + result.passed
	print(("%-34s %4d passed%s"):format(one.label or one.name, result.passed,
		result.skipped > 0 and (", %d without a test"):format(result.skipped) or ""))
	for _, name in ipairs(result.failed) do print(note(one, name)) end
	if not result.ended then
		print(note(one, "ended early\n" .. result.text))
	end
end
print(("%d passed, %d differ, %d failed"):format(sum.passed, sum.differs, sum.failed))
os.exit(sum.failed == 0)
