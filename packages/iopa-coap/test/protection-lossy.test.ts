// Bodies of up to 48 KiB and more both ways under OSCORE, over networks that lose, repeat, reorder, cut and join what is sent. IOPA_FUZZ=2000 makes the long run;
// a run that fails says its seed, and IOPA_SEED repeats it.
import { App, isIopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { seededRandom, type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'
import { expect, test } from 'vitest'

const RUNS = Number(process.env['IOPA_FUZZ'] ?? 4)
const FIRST = Number(process.env['IOPA_SEED'] ?? 20_261_130)

const SERVER = '10.0.0.1'
const masterSecret = Buffer.alloc(16, 9)
const [own, other] = [Buffer.from([0]), Buffer.from([1])]
/** Lengths around those of a block, of a message under OSCORE on a connection, and of several of them. */
const EDGES = [1, 1024, 1025, 3072, 16_384, 49_151, 49_152, 49_153, 98_304, 100_000]

/** Virtual milliseconds that a run may take: requests over datagrams that were lost again and again give up before. */
const LONGEST = 900_000
const GIVEN_UP: ReadonlySet<string> = new Set(['timeout', 'disconnected'])

const run = async (seed: number): Promise<string> => {
  const random = seededRandom(seed)
  const below = (most: number): number => Math.floor(random() * most)
  const lengthOf = (): number => (random() < 0.5 ? EDGES[below(EDGES.length)]! : 1 + below(50_000))
  const tcp = random() < 0.5
  const conditions: Omit<VirtualNetworkOptions, 'clock'> = tcp
    ? { seed, delay: [1, 1 + below(50)], splitting: 1 + below(70_000), coalescing: random() < 0.5 ? random() : 0, window: 1000 + below(200_000) }
    : { seed, delay: [1, 1 + below(50)], loss: random() * 0.15, duplication: random() * 0.3, reordering: random() * 0.3, lateness: below(3000) }
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock, ...conditions })
  const app = new App({ logger: false, clock }).use(router())
  app.use(
    coap({
      host: SERVER,
      udp: !tcp,
      tcp,
      clock,
      network: network.machine(SERVER),
      protect: oscore({ contexts: [{ id: 'ann', masterSecret, senderId: own, recipientId: other }], require: true })
    })
  )
  const bodies = new Map<string, Uint8Array>()
  app.put('/bodies/:id', async context => {
    if (random() < 0.5) bodies.set(context.params.id, await context.bytes())
    else {
      const parts: Uint8Array[] = []
      for await (const part of context.body ?? []) parts.push(part.slice())
      bodies.set(context.params.id, Buffer.concat(parts))
    }
  })
  app.get('/bodies/:id', context => bodies.get(context.params.id) ?? '')
  await app.listen()
  const url = `${tcp ? 'coap+tcp' : 'coap'}://${SERVER}`
  const protect = oscore({ contexts: [{ id: 'server', masterSecret, senderId: other, recipientId: own, servers: [url] }] })
  const clients = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), protect }))

  let done = 0
  const work = async (): Promise<void> => {
    const client = await clients.connect(url)
    const transfer = async (id: number): Promise<void> => {
      const length = lengthOf()
      const body = Buffer.from(Array.from({ length }, (_, at) => (at * 7 + id * 31 + (at >> 8)) & 255))
      const pieces = 1 + below(30_000)
      const stream = async function* () {
        for (let at = 0; at < length; at += pieces) yield body.subarray(at, at + pieces)
      }
      const put = await client.put(`/bodies/${id}`, random() < 0.5 ? body : stream())
      expect([put.status, Buffer.compare(bodies.get(String(id))!, body)]).toEqual([204, 0])
      const got = await client.get(`/bodies/${id}`)
      expect([got.status, Buffer.compare(Buffer.from(await got.bytes()), body)]).toEqual([200, 0])
      done++
    }
    const settled = await Promise.allSettled(Array.from({ length: 1 + below(3) }, (_, id) => transfer(id)))
    for (const one of settled) {
      if (one.status === 'fulfilled') continue
      if (tcp || !isIopaError(one.reason) || !GIVEN_UP.has(one.reason.code)) throw one.reason
    }
  }
  const detail = `seed ${seed}: ${JSON.stringify(conditions)}`
  try {
    await clock.runUntil(work(), LONGEST)
  } catch (error) {
    throw new Error(`${detail}, ${done} done after ${clock.elapsed()} ms: ${(error as Error).stack}`)
  }
  await clock.runUntil(Promise.all([clients.close({ timeout: 1000 }), app.close({ timeout: 1000 })]))
  return tcp ? 'tcp' : done > 0 ? 'udp' : 'given up'
}

test(`${RUNS} runs over bad networks carry all bodies, or give up`, { timeout: 30_000 + RUNS * 5000 }, async () => {
  const kinds: Record<string, number> = {}
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    const kind = await run(seed)
    kinds[kind] = (kinds[kind] ?? 0) + 1
    if ((seed - FIRST) % 50 === 49) console.log(`${seed - FIRST + 1} runs`, kinds)
  }
  expect(kinds['given up'] ?? 0).toBeLessThanOrEqual(RUNS / 4)
})
