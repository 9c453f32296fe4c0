// Observations of a client whose server could not be reached go on as soon as anything shows that it is back (RFC 7641 section 3.3.1).
import { App, type Client } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { afterEach, describe, expect, test } from 'vitest'
import { SERVER, type VirtualHome, virtualHome } from './virtual-home.ts'

const SECONDS = 1000
const PATHS = ['/aging', '/aging?b', '/aging?c', '/aging?d']

let home: VirtualHome
afterEach(() => home.close())

const registrations = (): number => home.handled.get('/aging') ?? 0

/** Observations that have lost their server for so long that each waits up to a minute to try again. */
const lost = async (): Promise<Client> => {
  home = await virtualHome()
  const client = await home.connect()
  for (const path of PATHS) {
    void (async () => {
      for await (const _ of client.observe(path));
    })().catch(() => undefined)
  }
  await home.clock.advance(5 * SECONDS)
  expect(registrations()).toBe(PATHS.length)
  home.network.script = ({ to }) => (to.address === SERVER ? 'drop' : undefined)
  await home.clock.advance(600 * SECONDS)
  home.network.script = undefined
  return client
}

describe('observations of one client', () => {
  test('go on together when one of them finds the server again', async () => {
    await lost()
    const before = registrations()
    for (let step = 0; step < 600 && registrations() === before; step++) await home.clock.advance(200)
    await home.clock.advance(SECONDS)
    expect(registrations()).toBeGreaterThanOrEqual(before + PATHS.length)
  })

  test('go on when a request has an answer, whatever it is', async () => {
    const client = await lost()
    const before = registrations()
    // One that waits behind a message of the outage goes with it.
    const ask = (): Promise<number> => home.clock.runUntil(client.get('/none')).then(({ status }) => status, ask)
    expect(await ask()).toBe(404)
    await home.clock.advance(SECONDS)
    expect(registrations()).toBeGreaterThanOrEqual(before + PATHS.length)
  })

  test('go on soon after a server that was closed has come back', async () => {
    home = await virtualHome()
    const { clock, network } = home
    const client = await home.connect()
    const texts: string[] = []
    void (async () => {
      for await (const answer of client.observe('/state')) texts.push(await answer.text())
    })()
    await clock.advance(SECONDS)
    await clock.runUntil(home.app.close())
    const restarted = new App({ logger: false, clock })
      .use(coap({ host: SERVER, port: 5683, allowUnauthenticated: true, clock, network: network.machine(SERVER) }))
      .use(() => 'back')
    await restarted.listen()
    await clock.advance(20 * SECONDS)
    expect(texts).toEqual(['state 0', 'back'])
    await clock.runUntil(restarted.close())
  })

  test('go on after a non-confirmable renewal was lost', async () => {
    home = await virtualHome({ client: { confirmable: false } })
    const client = await home.connect()
    void (async () => {
      for await (const _ of client.observe('/aging'));
    })().catch(() => undefined)
    await home.clock.advance(5 * SECONDS)
    expect(registrations()).toBe(1)
    let lost = 0
    home.network.script = ({ to }) => (to.address === SERVER && lost++ === 0 ? 'drop' : undefined)
    for (let step = 0; step < 600 && lost === 0; step++) await home.clock.advance(200)
    expect(lost).toBe(1)
    await home.clock.advance(80 * SECONDS)
    expect(registrations()).toBeGreaterThan(1)
  })

  test('ask no more often while no answer arrives', async () => {
    await lost()
    let sent = 0
    // Requests arrive, but no answer does: nothing shows that the server is back.
    home.network.script = ({ to }) => {
      if (to.address !== SERVER) return 'drop'
      sent++
      return undefined
    }
    await home.clock.advance(120 * SECONDS)
    expect(sent).toBeLessThan(100)
  })
})
