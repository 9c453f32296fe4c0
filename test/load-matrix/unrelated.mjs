// A pair of clients that have nothing to do with the load, in a process of their own: what keeps the other clients busy is not time of the broker.
// `fork`ed with { port, version }.
import { open, publishPacket, subscribePacket } from './packets.mjs'

const { port, version } = JSON.parse(process.argv[2])
const totals = { closed: 0 }
let times = []

const listener = await open(
  port,
  version,
  'aside-listener',
  (type, _flags, bytes, _start, end) => {
    if (type === 3) times.push(performance.now() - Number(bytes.toString('latin1', end - 20, end)))
  },
  () => totals.closed++
)
listener.write(subscribePacket(version, 'aside/+', 0))
const talker = await open(port, version, 'aside-talker', () => undefined, () => totals.closed++)
await new Promise(resolve => setTimeout(resolve, 50))
const talk = setInterval(() => talker.write(publishPacket(version, 'aside/1', String(performance.now()).padStart(20, '0').slice(0, 20), 0, 0)), 10)

process.send('ready')
process.on('message', message => {
  if (message === 'reset') times = []
  else if (message === 'totals') {
    const sorted = [...times].sort((a, b) => a - b)
    const at = part => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
    process.send({ ...totals, asides: sorted.length, p50: at(0.5), p99: at(0.99) })
  } else {
    clearInterval(talk)
    process.exit(0)
  }
})
