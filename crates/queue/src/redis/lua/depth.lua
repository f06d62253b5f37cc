-- KEYS: the queues. Returns the number of jobs they hold together.
local held = 0
for _, queue in ipairs(KEYS) do
    held = held + count_held(queue)
end
return held
