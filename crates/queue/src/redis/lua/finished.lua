-- Removes finished jobs and their data (fault 7).
-- KEYS: one queue. ARGV: the most to remove of each kind of end. Returns the number removed.
local removed = 0
for _, set in ipairs({':done', ':dead', ':failed'}) do
    for _, id in ipairs(redis.call('SPOP', KEYS[1] .. set, ARGV[1])) do
        forget(KEYS[1], id)
        removed = removed + 1
    end
end
return removed
