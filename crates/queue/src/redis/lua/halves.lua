-- Removes ids whose payload is gone (fault 3), and restores the description that apalis
-- needs of ids whose payload is there.
-- KEYS: one queue. ARGV: where in the lists to start, how many ids of each to look at,
-- how many seconds the description of a worker is kept after the last sweep that saw it.
-- Returns how many were removed, and whether there is more to look at.
local queue, from, count = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local states = {Pending = true, Queued = true, Running = true, Done = true, Failed = true, Killed = true}
local removed = 0

-- Whether a worker can take the id; apalis demands text that names a task.
local function usable(id)
    if not string.find(id, '^[%w%p]+$') or redis.call('HEXISTS', queue .. ':data', id) == 0 then
        return false
    end
    local meta = redis.pcall('HMGET', queue .. ':meta:' .. id, 'attempts', 'max_attempts', 'status')
    if meta.err or not (tonumber(meta[1]) and tonumber(meta[2]) and states[meta[3]]) then
        redis.call('DEL', queue .. ':meta:' .. id)
        write_meta(queue, id)
    end
    return true
end

local function look(ids, remove)
    for _, id in ipairs(ids) do
        if not usable(id) then
            remove(id)
            forget(queue, id)
            removed = removed + 1
        end
    end
    return #ids == count
end

local waiting = look(redis.call('LRANGE', queue .. ':active', from, from + count - 1), function(id)
    redis.call('LREM', queue .. ':active', 0, id)
end)
local scheduled = look(redis.call('ZRANGE', queue .. ':scheduled', from, from + count - 1), function(id)
    redis.call('ZREM', queue .. ':scheduled', id)
end)
if from == 0 then
    each_in_flight(queue, function(key)
        look(redis.call('SMEMBERS', key), function(id)
            redis.call('SREM', key, id)
        end)
    end)
    -- apalis writes a description for every name a worker ever had, and keeps it.
    for _, worker in ipairs(redis.call('ZRANGE', queue .. ':workers', 0, -1)) do
        redis.call('EXPIRE', queue .. ':workers:metadata:' .. worker, ARGV[3])
    end
end
return {removed, (waiting or scheduled) and 1 or 0}
