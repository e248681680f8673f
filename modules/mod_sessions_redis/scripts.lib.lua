-- What runs inside Redis, each as one atomic step. P is the prefix of all keys:
--
--	P servers                  zset: member → ms at which its lease ends
--	P server:MEMBER            hash: what `status` shows of it; ends with the lease
--	P entries:MEMBER:STORE     hash: id → JSON; ends with the lease
--	P left:STORE               zset: finished members whose entries wait for a successor
--	P claim:STORE:MEMBER       hash: the member that adopts them, the number of its batch
--	P batch:STORE:MEMBER       hash: the entries that it has been given and not yet confirmed
--
-- The time is Redis' own, so that no two machines need the same clock.

local redis <const> = require "net.redis"

local head <const> = [[
	if redis.replicate_commands then redis.replicate_commands() end -- Redis below 7
	local P, me, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
	local at = redis.call('TIME')
	local now = at[1] * 1000 + math.floor(at[2] / 1000)
	local server, servers = P .. 'server:' .. me, P .. 'servers'
	local function entries(member, name) return P .. 'entries:' .. member .. ':' .. name end
]]

return {
	-- P, me, lease, fresh, number of stores, stores, number of stores to adopt for, those, fields
	-- and values. → known, { member, field, value, … }…, { store, member }…
	-- known is 0 when Redis had lost something of ours; fresh: forget what it has.
	beat = redis.script(head .. [[
		local fresh, i = ARGV[4] == '1', 5
		local function take()
			local list = {}
			for j = 1, tonumber(ARGV[i]) do list[j] = ARGV[i + j] end
			i = i + #list + 1
			return list
		end
		local stores, adopt = take(), take()
		if fresh then
			for name in (redis.call('HGET', server, 'stores') or ''):gmatch('[^\n]+') do
				redis.call('DEL', entries(me, name))
			end
		end
		local known = redis.call('EXISTS', server)
		redis.call('HSET', server, 'stores', table.concat(stores, '\n'), unpack(ARGV, i))
		redis.call('PEXPIRE', server, lease)
		redis.call('ZADD', servers, now + lease, me)
		for _, name in ipairs(stores) do
			if not fresh and redis.call('PEXPIRE', entries(me, name), lease) == 0 then known = 0 end
		end
		redis.call('ZREMRANGEBYSCORE', servers, '-inf', now - 1)
		local peers, left = {}, {}
		for _, member in ipairs(redis.call('ZRANGE', servers, 0, -1)) do
			local info = member ~= me and redis.call('HGETALL', P .. 'server:' .. member) or {}
			if #info > 0 then
				table.insert(info, 1, member)
				peers[#peers + 1] = info
			end
		end
		for _, name in ipairs(adopt) do
			redis.call('ZREMRANGEBYSCORE', P .. 'left:' .. name, '-inf', now - 1)
			for _, member in ipairs(redis.call('ZRANGE', P .. 'left:' .. name, 0, -1)) do
				left[#left + 1] = { name, member }
			end
		end
		return { known, peers, left }
	]]),

	-- P, me, lease, store, number of pairs, id, JSON, …, removed ids. → 1, or 0: not registered
	put = redis.script(head .. [[
		if redis.call('EXISTS', server) == 0 then return 0 end
		local key, pairs_end = entries(me, ARGV[4]), 5 + 2 * tonumber(ARGV[5])
		if pairs_end > 5 then redis.call('HSET', key, unpack(ARGV, 6, pairs_end)) end
		if #ARGV > pairs_end then redis.call('HDEL', key, unpack(ARGV, pairs_end + 1)) end
		redis.call('PEXPIRE', key, lease)
		return 1
	]]),

	-- P, me, lease, "evict" or "leave", ms that a successor has, stores. → number left
	leave = redis.script(head .. [[
		local evict, keep, left = ARGV[4] == 'evict', tonumber(ARGV[5]), 0
		for i = 6, #ARGV do
			local key, list = entries(me, ARGV[i]), P .. 'left:' .. ARGV[i]
			local count = evict and 0 or redis.call('HLEN', key)
			if count == 0 then
				redis.call('DEL', key)
			else
				left = left + count
				redis.call('PEXPIRE', key, keep)
				redis.call('ZADD', list, now + keep, me)
				redis.call('PEXPIRE', list, keep)
			end
		end
		redis.call('HSET', server, 'state', evict and 'stopped' or 'finished')
		redis.call('PEXPIRE', server, lease)
		redis.call('ZADD', servers, now + lease, me)
		return left
	]]),

	-- P, me, lease, store, member, number of the batch that we have, most bytes. → { number, { id,
	-- JSON, … } }: ours now; false when another has them, or nothing is left. One successor has all
	-- of a member's, in several batches; when it is gone, the next goes on where it was.
	adopt = redis.script(head .. [[
		local name, from, have, room = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
		local list, key = P .. 'left:' .. name, name .. ':' .. from
		local claim, batch, source = P .. 'claim:' .. key, P .. 'batch:' .. key, entries(from, name)
		local holder = redis.call('HGET', claim, 'member')
		if redis.call('EXISTS', server) == 0 or not redis.call('ZSCORE', list, from)
			or holder and holder ~= me and redis.call('EXISTS', P .. 'server:' .. holder) == 1 then
			return false
		end
		local number = tonumber(redis.call('HGET', claim, 'number') or 0)
		if number > 0 and number == have then redis.call('DEL', batch) end
		if redis.call('EXISTS', batch) == 0 then
			number = number + 1
			local some = redis.call('HSCAN', source, 0, 'COUNT', 200)[2]
			for i = 1, #some, 2 do
				if room > 0 then
					redis.call('HDEL', source, some[i])
					redis.call('HSET', batch, some[i], some[i + 1])
					room = room - #some[i] - #some[i + 1]
				end
			end
		end
		local taken, keep = redis.call('HGETALL', batch), redis.call('PTTL', list)
		if #taken == 0 then
			redis.call('ZREM', list, from)
			redis.call('DEL', claim, source)
			return false
		end
		redis.call('HSET', claim, 'member', me, 'number', number)
		redis.call('PEXPIRE', claim, keep)
		redis.call('PEXPIRE', batch, keep)
		return { number, taken }
	]]),

	-- P, me, lease, store, id. → { server_id, JSON } or false
	find = redis.script(head .. [[
		for _, member in ipairs(redis.call('ZRANGEBYSCORE', servers, now, '+inf')) do
			local text = redis.call('HGET', entries(member, ARGV[4]), ARGV[5])
			if text then
				return { redis.call('HGET', P .. 'server:' .. member, 'server_id') or member, text }
			end
		end
		return false
	]]),
}
