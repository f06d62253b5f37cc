-- KEYS: one queue. ARGV: a worker, which is alive if it is on the list.
redis.call('ZADD', KEYS[1] .. ':workers', 'XX', redis.call('TIME')[1], ARGV[1])
