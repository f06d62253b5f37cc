-- KEYS: the queues. ARGV: for each send the number of its queue and its id.
-- Returns the positions, from 1, of those that no queue holds.
local held, missing = {}, {}
for i = 1, #ARGV, 2 do
    local queue = KEYS[tonumber(ARGV[i])]
    held[queue] = held[queue] or ids_held(queue)
    if not held[queue][ARGV[i + 1]] then
        table.insert(missing, (i + 1) / 2)
    end
end
return missing
