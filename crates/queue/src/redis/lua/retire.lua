-- Takes a worker's name off the list, which apalis fails to do (fault 19), and
-- puts what it fetched and never started back to the front.
-- KEYS: one queue. ARGV: the worker. Returns the number put back.
local queue, worker = KEYS[1], ARGV[1]
local key = queue .. ':inflight:' .. worker
local left = redis.call('SMEMBERS', key)
for _, id in ipairs(left) do
    redis.call('LPUSH', queue .. ':active', id)
end
redis.call('DEL', key, queue .. ':workers:metadata:' .. worker)
redis.call('ZREM', queue .. ':workers', worker)
return #left
