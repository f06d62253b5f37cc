-- One exchange of a process with the state that all processes share.
--
-- Lines before this file set `now` (microseconds) and the constants in capital letters:
-- times in microseconds, shares of the plan, and PATIENCE in seconds. They are explained in
-- shared/rules.rs, brake.rs and foreign.rs; shared/script.rs names the arguments and the answer.
--
-- KEYS[1]  hash: what is left of each bucket (l, a), the brake, windows of foreign use, slots that went
--          before reading back (first), 429s (answers), requests sent by group (sent), and by
--          name (p:) the members of which callers that go first still wait for a slot
-- KEYS[2]  sorted set: members by the time they were last seen

local at = 2
local function arg()
  at = at + 1
  return tonumber(ARGV[at])
end

local s = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do s[flat[i]] = tonumber(flat[i + 1]) end
local lost = s.epoch == nil
if lost then
  s = {epoch = now, factor = 1, since = 0, pulled = 0, ceiling = 1, streak = 0, back = 0,
    before = 1, count = 0, hard = 0, stray = 0, first = 0}
end
s.first = s.first or 0 -- the state of an older version has none

-- The server's clock was set back, or another server has taken over: all times move with it,
-- so that a pause lasts as long as before.
local set_back = (s.last or now) - now
if set_back > 0 then
  for _, time in ipairs({'since', 'pulled', 'stray', 'back',
    'a0', 'a1', 'a2', 'a3', 'w0', 'w1', 'w2', 'w3'}) do
    if (s[time] or 0) > 0 then s[time] = s[time] - set_back end
  end
end
s.last = now

-- The members.
local member = ARGV[2]
local mode, share = arg(), arg()
if mode == 3 then
  redis.call('ZREM', KEYS[2], member)
else
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), member)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - MEMBER))
local members = math.max(1, redis.call('ZCARD', KEYS[2]))

-- The brake: quickly up to just below where the last 429 came, then slowly for a while.
local function factor_at(time)
  local up = math.max(0, time - s.since) / 1000000
  local reach = math.max(0, s.ceiling - s.factor) / REGAINED
  if up > reach then
    local slow = math.min(up - reach, PATIENCE)
    local fast = up - reach - slow
    return math.min(1, math.max(s.factor, s.ceiling) + PROBED * slow + REGAINED * fast)
  end
  return math.min(1, s.factor + REGAINED * up)
end

local pull, chance, horizon, many, anew, waits = arg(), arg(), arg(), arg(), arg(), arg()
-- 429s since the rate was last the plan's.
if factor_at(now) >= 1 then s.answers = 0 end
s.answers = (s.answers or 0) + arg()
local braked, longer, stray = false, false, false
if pull >= 0 then
  if s.hard == 1 and now < math.max(s.since, s.pulled + INCIDENT) then
    if now + pull > s.since and pull > 0 then
      -- Slots were given for the end of the shorter pause.
      s.since, s.epoch, longer = now + pull, now, true
    end
  else
    if s.hard == 1 or s.pulled == 0 or now >= s.pulled + SOON then
      local again = s.hard == 1 and now - s.since < SOON
      s.streak = again and math.min(s.streak + 1, DOUBLINGS) or 0
      s.before, s.count, s.hard, s.pulled = factor_at(now), 0, 0, now
    end
    s.count = s.count + 1
    if pull > 0 or s.count >= many then
      s.ceiling, s.factor = s.before * NEAR, math.max(FACTOR_FLOOR, s.before * FACTOR_LOWERED)
      local pause = pull
      if pause == 0 then pause = PAUSE * 2 ^ s.streak * (0.75 + chance / 2) end
      s.pulled, s.since, s.epoch, s.hard, braked = now, now + pause, now, 1, true
    elseif s.count == 1 or now >= s.stray + INCIDENT then
      local before = factor_at(now)
      s.ceiling, s.factor = s.before, math.max(FACTOR_FLOOR, before * NEAR)
      s.since, s.stray, stray = now, now, true
    end
  end
end
-- Another rate: what was learnt of the old one is forgotten, but for a pause that is under way.
if anew == 1 then s.factor, s.ceiling, s.streak, s.count, s.hard, s.answers = 1, 1, 0, 0, 0, 0 end
local factor = factor_at(now)

-- What is left: `l` requests at the time `a`. A pause lets nothing flow in.
local foreign, buckets = 0, {}
local resuming = mode == 2 and now - s.back >= RETURNED
for b = 0, 3 do
  local rate, room, held, tolerance = arg(), arg(), arg(), arg()
  local returned, seen, remaining = arg(), arg(), arg()
  local l, a = 'l' .. b, 'a' .. b
  if rate > 0 then
    rate = rate * factor / 1000000
    if s[l] == nil then
      -- Full only where nobody has used it: a process that knew of a level means that it was lost.
      s[l] = (lost and mode == 1) and room or 0
      s[a] = now
    end
    if braked or longer then s[l], s[a] = 0, s.since end
    if now > s[a] then
      s[l] = s[l] + (now - s[a]) * rate
      s[a] = now
    end
    s[l] = math.min(room, s[l] + returned)
    if stray then s[l] = math.min(s[l], 0) - 1 end
    if resuming then
      s[l] = math.min(s[l], 0)
    elseif mode == 2 then
      s[l] = s[l] - share * rate * (now - s.back)
    end
    if seen > 0 then
      if (s['n' .. b] or 0) == 0 then s['n' .. b], s['w' .. b], s['d' .. b] = 0, now, 1e9 end
      s['n' .. b] = s['n' .. b] + seen
      s['d' .. b] = math.min(s['d' .. b], held + math.max(0, s[l]) - remaining)
      if s['n' .. b] >= ENOUGH and now - s['w' .. b] >= WINDOW then
        local excess = math.min(math.floor(s['d' .. b] - tolerance), held + room)
        if excess > 0 then
          s[l] = s[l] - excess
          foreign = foreign + excess
        end
        s['n' .. b] = 0
      end
    end
    buckets[b] = {l = l, a = a, rate = rate}
  elseif s[l] ~= nil then
    s[l], s[a] = nil, nil
    redis.call('HDEL', KEYS[1], l, a)
  end
end
if resuming then s.back = now end

-- Reading back goes last while callers that go first wait for a slot, here or elsewhere.
local mine = 'p:' .. member
if waits == 1 and mode ~= 3 then s[mine] = now elseif s[mine] then s[mine] = 0 end
local others_wait = false
for name, time in pairs(s) do
  if string.sub(name, 1, 2) == 'p:' then
    if time > now - WAITS and time <= now then
      others_wait = true
    else
      s[name] = nil
      redis.call('HDEL', KEYS[1], name)
    end
  end
end

-- Slots, in the server's order: the bucket of all, then the group's. The last group reads back,
-- and takes from the bucket of user reads.
local answer = {now, s.epoch, members, math.floor(factor * 1000000), s.since, braked and 1 or 0, foreign, s.answers,
  0, 0, 0, 0, 0, 0, 0, 0}
for g = 1, 4 do
  local wanted, way, last = arg(), {}, g == 4
  local own = last and 2 or g
  for _, b in ipairs({0, own}) do
    if buckets[b] then way[#way + 1] = buckets[b] end
  end
  local shared = own == 2 or not (buckets[own] or buckets[2])
  local given = 0
  while given < wanted do
    if last and others_wait and s.first < EVERY - 1 then break end
    local slot = math.max(now, s.since)
    for _, b in ipairs(way) do
      local missing = 1 - s[b.l]
      if missing > 0 then slot = math.max(slot, s[b.a] + missing / b.rate) end
    end
    if slot - now > horizon then break end
    for _, b in ipairs(way) do s[b.l] = s[b.l] - 1 end
    given = given + 1
    if last then s.first = 0 elseif shared then s.first = math.min(s.first + 1, EVERY - 1) end
    answer[#answer + 1] = math.ceil(slot - now)
  end
  answer[8 + g] = given
end
-- What all have sent, by group.
for g = 1, 4 do
  local sent = 'sent' .. g
  s[sent] = (s[sent] or 0) + arg()
  answer[12 + g] = s[sent]
end

local fields = {}
for name, value in pairs(s) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.17g', value)
end
redis.call('HSET', KEYS[1], unpack(fields))
local expiry = arg() + math.ceil(math.max(0, s.since - now) / 1000)
redis.call('PEXPIRE', KEYS[1], expiry)
redis.call('PEXPIRE', KEYS[2], expiry)
return answer
