-- Puts what consumers of dead processes fetched and did not finish to the front, where live
-- ones fetch it. Their names stay on the list until their heartbeats have run out.
-- KEYS: the queues. ARGV: the processes, whose ids are part of their consumers' names.
-- Returns the number put back.
local back = 0
for _, queue in ipairs(KEYS) do
    local before = back
    for _, worker in ipairs(redis.call('ZRANGE', queue .. ':workers', 0, -1)) do
        for _, process in ipairs(ARGV) do
            if string.find(worker, process, 1, true) then
                local key = queue .. ':inflight:' .. worker
                for _, id in ipairs(redis.call('SMEMBERS', key)) do
                    redis.call('LPUSH', queue .. ':active', id)
                    back = back + 1
                end
                redis.call('DEL', key)
            end
        end
    end
    if back > before then
        redis.call('DEL', queue .. ':signal')
        redis.call('LPUSH', queue .. ':signal', 1)
    end
end
return back
