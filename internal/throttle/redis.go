package throttle

import (
	"context"
	"time"
)

// Eval runs a script on a Redis server (EVAL), which answers with integers.
type Eval func(ctx context.Context, script string, keys []string, arguments ...int64) ([]int64, error)

// redisScript is what Share does, in microseconds of the server's clock. A key
// holds when it will have paid, and ends then.
const redisScript = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local owes, waits, refused = {}, {}, false
for i, key in ipairs(KEYS) do
	local more, capacity = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
	local owed = tonumber(redis.call('GET', key) or now) - now
	owes[i] = math.max(math.min(owed, capacity), 0) + more
	waits[i] = 0
	if more > 0 and owes[i] > capacity then
		waits[i] = owes[i] - capacity
		refused = true
	end
end
if not refused then
	for i, key in ipairs(KEYS) do
		if owes[i] > 0 then
			redis.call('SET', key, string.format('%.0f', now + owes[i]), 'PX', math.ceil(owes[i] / 1000))
		else
			redis.call('DEL', key)
		end
	end
end
return waits`

// redisPrefix stands before all keys. By the braces all are in one slot of a
// cluster, where a script may not have keys of several.
const redisPrefix = "doorward:{failure}:"

// InRedis counts in a Redis server, in one round trip. What is paid takes no
// memory there.
func InRedis(eval Eval) Share {
	return func(ctx context.Context, debts []Debt) ([]time.Duration, error) {
		keys, arguments := make([]string, len(debts)), make([]int64, 0, 2*len(debts))
		for i, d := range debts {
			keys[i] = redisPrefix + d.Key
			arguments = append(arguments, d.More.Microseconds(), d.Capacity.Microseconds())
		}
		answer, err := eval(ctx, redisScript, keys, arguments...)
		if err != nil {
			return nil, err
		}
		waits := make([]time.Duration, len(answer))
		for i, wait := range answer {
			waits[i] = time.Duration(wait) * time.Microsecond
		}
		return waits, nil
	}
}
