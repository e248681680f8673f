-- A driver that keeps nothing: reading finds nothing, writing says that it is off.

local store <const> = {}
local store_mt <const> = { __index = store }

function store.get() return {} end
function store.users() return function () end end
function store.find() return function () end, 0 end
function store.delete() return true end

function store.set()
	return nil, "Storage disabled"
end
store.append = store.set

local driver <const> = { name = "none" }

local kinds <const> = { keyval = true, list = true, archive = true }

function driver:open(name, kind) -- luacheck: ignore 212/self
	if not kinds[kind or "keyval"] then
		return nil, "unsupported-store"
	end
	return setmetatable({ store = name, type = kind }, store_mt)
end

function driver.stores() return function () end end
function driver.purge() return true end

module:provides("storage", driver)
