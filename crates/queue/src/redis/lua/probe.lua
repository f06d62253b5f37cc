-- Does what workers and relays do, under names of its own, and leaves nothing behind: the
-- server's reason comes as the script's error.
-- KEYS: one queue. ARGV: a name.
local queue, name = KEYS[1] .. ':probe', ARGV[1]
local now = redis.call('TIME')[1]
-- As apalis registers a worker: the list of queues is a key outside of ours.
redis.call('ZADD', 'core:apalis:queues:list', 'GT', now, queue)
redis.call('ZADD', queue .. ':workers', now, name)
redis.call('ZSCORE', queue .. ':workers', name)
redis.call('HMSET', queue .. ':workers:metadata:' .. name, 'backend_name', 'probe', 'service', 'probe')
redis.call('EXPIRE', queue .. ':workers:metadata:' .. name, 60)
-- As a relay pushes, and a worker takes and ends.
redis.call('HSET', queue .. ':data', name, name)
write_meta(queue, name)
redis.call('RPUSH', queue .. ':active', name)
redis.call('LPUSH', queue .. ':active', name)
redis.call('LRANGE', queue .. ':active', 0, 0)
redis.call('LREM', queue .. ':active', 0, name)
redis.call('LTRIM', queue .. ':active', 0, -1)
redis.call('SADD', queue .. ':inflight:' .. name, name)
redis.call('SCARD', queue .. ':inflight:' .. name)
redis.call('SREM', queue .. ':inflight:' .. name, name)
redis.call('ZADD', queue .. ':done', now, name)
redis.call('ZRANGEBYSCORE', queue .. ':done', 0, 0)
redis.call('ZREMRANGEBYSCORE', queue .. ':done', 0, now)
count_held(queue)
-- As the limiter shares the tenant's limit.
local limit = 'ferry:{limit:probe}:state'
redis.call('HSET', limit, 'probe', name)
redis.call('HGETALL', limit)
redis.call('PEXPIRE', limit, 1000)
redis.call('DEL', limit)
-- And signs off.
forget(queue, name)
redis.call('ZREM', 'core:apalis:queues:list', queue)
redis.call('DEL', queue .. ':workers', queue .. ':workers:metadata:' .. name, queue .. ':data', queue .. ':active',
    queue .. ':inflight:' .. name, queue .. ':done')
return 1
