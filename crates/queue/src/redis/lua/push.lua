-- Takes sends from the front until all queues together hold the window.
-- KEYS: the queues. ARGV: window, then for each send: number of its queue, id, payload,
-- and where it goes: 'front' for what was sent before (a retry, or a dead worker's job: its
-- users have waited already), 'back' else.
-- Returns the number taken; one that is there already counts as taken.
local window = tonumber(ARGV[1])
local held = 0
for _, queue in ipairs(KEYS) do
    held = held + count_held(queue)
end

local taken = 0
local touched = {}
for i = 2, #ARGV, 4 do
    local queue, id = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
    if redis.call('HEXISTS', queue .. ':data', id) == 0 then
        if held >= window then
            break
        end
        redis.call('HSET', queue .. ':data', id, ARGV[i + 2])
        write_meta(queue, id)
        redis.call(ARGV[i + 3] == 'front' and 'LPUSH' or 'RPUSH', queue .. ':active', id)
        held = held + 1
        touched[queue] = true
    end
    taken = taken + 1
end

for queue in pairs(touched) do
    redis.call('DEL', queue .. ':signal')
    redis.call('LPUSH', queue .. ':signal', 1)
end
return taken
