-- Removes payloads whose id is in no list any more.
-- KEYS: one queue. ARGV: cursor, how many to look at. Returns the next cursor and the number removed.
local queue = KEYS[1]
local page = redis.call('HSCAN', queue .. ':data', ARGV[1], 'COUNT', ARGV[2])
local held, removed = ids_held(queue), 0
for i = 1, #page[2], 2 do
    local id = page[2][i]
    if not held[id] and redis.call('SISMEMBER', queue .. ':done', id) == 0
        and redis.call('SISMEMBER', queue .. ':dead', id) == 0 then
        forget(queue, id)
        removed = removed + 1
    end
end
return {page[1], removed}
