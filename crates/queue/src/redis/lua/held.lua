-- Put before the other scripts. A queue is its name: every key is derived from
-- it as apalis does, so all of them share the name's hash tag.

-- Calls visit(key) for the in-flight set of each worker known to a queue.
local function each_in_flight(queue, visit)
    for _, worker in ipairs(redis.call('ZRANGE', queue .. ':workers', 0, -1)) do
        visit(queue .. ':inflight:' .. worker)
    end
end

-- How many jobs a queue holds, waiting and in flight.
local function count_held(queue)
    local held = redis.call('LLEN', queue .. ':active') + redis.call('ZCARD', queue .. ':scheduled')
    each_in_flight(queue, function(key)
        held = held + redis.call('SCARD', key)
    end)
    return held
end

-- The ids a queue holds, as a set.
local function ids_held(queue)
    local ids = {}
    local function note(list)
        for _, id in ipairs(list) do
            ids[id] = true
        end
    end
    note(redis.call('LRANGE', queue .. ':active', 0, -1))
    note(redis.call('ZRANGE', queue .. ':scheduled', 0, -1))
    each_in_flight(queue, function(key)
        note(redis.call('SMEMBERS', key))
    end)
    return ids
end

-- What apalis needs to know of a task besides its payload.
local function write_meta(queue, id)
    redis.call('HSET', queue .. ':meta:' .. id, 'attempts', 0, 'max_attempts', 25,
        'status', 'Pending', 'idempotency_key', '')
end

local function forget(queue, id)
    redis.call('HDEL', queue .. ':data', id)
    redis.call('DEL', queue .. ':meta:' .. id)
end
