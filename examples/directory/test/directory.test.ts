import { App, type Client } from '@iopa/appbuilder'
import { coap, parseLinks } from '@iopa/coap'
import { router } from '@iopa/router'
import { type VirtualMachine, virtualClock, virtualNetwork } from '@iopa/testing'
import { generate, parse } from 'coap-packet'
import { expect, test } from 'vitest'
import { directory } from '../directory.ts'

const RD = '10.0.0.1'

/** A directory and its devices on a virtual network. */
const home = async (options: { limit?: number } = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const app = directory({ clock: clock as never, logger: false, ...options })
  app.use(coap({ host: RD, allowUnauthenticated: true, clock, network: network.machine(RD) }))
  await app.listen()
  const apps: App[] = [app]
  const run = <T>(work: Promise<T>): Promise<T> => clock.runUntil(work)
  return {
    clock,
    network,
    app,
    run,
    /** An app whose clients serve the directory: each device answers with its port. */
    async machine(address: string) {
      const device = new App({ logger: false, clock }).use(router())
      device.get('/id', { rt: 'id' }, context => String(context['server.LocalPort']))
      device.get('/temperature', { rt: 'temperature-c', if: 'sensor' }, () => '21.5')
      const clients = new App({ logger: false, clock }).use(coap({ allowUnauthenticated: true, clock, network: network.machine(address) }))
      apps.push(device, clients)
      return () => run(clients.connect(`coap://${RD}`, { serve: device }))
    },
    close: () => run(Promise.all(apps.map(each => each.close({ timeout: 100 }))))
  }
}

const LINKS = '</temperature>;rt=temperature-c;if=sensor,</id>;rt=id'
const register = (client: Client, query: string) => client.post(`/rd?${query}`, LINKS, { type: 'application/link-format' })
const linksAt = async (client: Client, path: string) => parseLinks(await (await client.get(path)).text())

test('announces where to register and where to look up', async () => {
  const { machine, run, close } = await home()
  const client = await (await machine('10.0.0.2'))()
  const links = await run(linksAt(client, '/.well-known/core?rt=core.rd*'))
  expect(links.map(({ href, attributes }) => [href, attributes['rt']])).toEqual([
    ['/rd', 'core.rd'],
    ['/rd-lookup/ep', 'core.rd-lookup-ep'],
    ['/rd-lookup/res', 'core.rd-lookup-res']
  ])
  await close()
})

test('a registration is found by its name, its links and its base, and goes with its lifetime', async () => {
  const { machine, run, clock, app, close } = await home()
  const connect = await machine('10.0.0.2')
  const [lamp, other] = [await connect(), await connect()]
  const created = await run(register(lamp, 'ep=lamp&d=hall&lt=600'))
  expect([created.status, created.headers.get('location')]).toEqual([201, '/rd/1'])
  await run(register(other, 'ep=other&lt=60&base=coap://other.example'))
  const found = await run(linksAt(lamp, '/rd-lookup/ep?d=hall'))
  expect(found.map(({ href, attributes }) => [href, attributes['ep']])).toEqual([['/rd/1', 'lamp']])
  expect(found[0]?.attributes['base']).toMatch(/^coap:\/\/10\.0\.0\.2:\d+$/)
  const resources = await run(linksAt(lamp, '/rd-lookup/res?rt=temperature-c&ep=other'))
  expect(resources.map(({ href }) => href)).toEqual(['coap://other.example/temperature'])
  expect(await run(linksAt(lamp, '/rd-lookup/ep?rt=core.rd-ep&page=1&count=1'))).toHaveLength(1)
  // The same name keeps its place.
  expect((await run(register(lamp, 'ep=lamp&d=hall&lt=600'))).headers.get('location')).toBe('/rd/1')
  await run(new Promise<void>(resolve => clock.setTimeout(resolve, 61_000)))
  expect(app.registrations.size).toBe(1)
  expect((await run(lamp.post('/rd/1?lt=1200', undefined))).status).toBe(204)
  await run(new Promise<void>(resolve => clock.setTimeout(resolve, 599_000)))
  expect(app.registrations.size).toBe(1)
  expect((await run(lamp.delete('/rd/1'))).ok).toBe(true)
  expect((await run(lamp.post('/rd/1', undefined))).status).toBe(404)
  await close()
})

test('what is no registration is refused, and the directory is bounded', async () => {
  const { machine, run, close } = await home({ limit: 1 })
  const client = await (await machine('10.0.0.2'))()
  expect((await run(register(client, 'lt=60'))).status).toBe(400)
  expect((await run(register(client, 'ep=a&lt=0'))).status).toBe(400)
  expect((await run(register(client, 'ep=a&base=nowhere'))).status).toBe(400)
  expect((await run(client.post('/rd?ep=a', '<', { type: 'application/link-format' }))).status).toBe(400)
  expect((await run(register(client, 'ep=a'))).status).toBe(201)
  expect((await run(register(client, 'ep=b'))).status).toBe(503)
  await close()
})

test('a device that registers in the simple way is asked what it has', async () => {
  const { machine, run, close } = await home()
  const client = await (await machine('10.0.0.2'))()
  expect((await run(client.post('/.well-known/rd?ep=simple', undefined))).status).toBe(204)
  const links = await run(linksAt(client, '/rd-lookup/res?ep=simple'))
  expect(links.map(({ attributes }) => attributes['rt']).sort()).toEqual(['id', 'temperature-c'])
  expect(await (await run(client.get('/ask/simple/temperature'))).text()).toBe('21.5')
  await close()
})

/** A device of another implementation: registers from its one socket, and answers every GET with its port. */
const foreignDevice = async (machine: VirtualMachine, name: string) => {
  const channel = await machine.bind({ host: machine.address, port: 0 })
  let created: (code: string) => void = () => undefined
  const registered = new Promise<string>(resolve => {
    created = resolve
  })
  const send = (packet: Parameters<typeof generate>[0]): void => channel.send(generate(packet), 5683, RD)
  channel.open({
    message: bytes => {
      const { code, confirmable, messageId, token } = parse(Buffer.from(bytes))
      if (code === '0.01') send({ ack: true, code: '2.05', messageId, token, payload: Buffer.from(String(channel.localPort)) })
      else if (code === '0.00' && confirmable) send({ reset: true, code: '0.00', messageId })
      else if (code !== '0.00') created(code)
    },
    error: () => undefined
  })
  const options = [
    { name: 'Uri-Path', value: Buffer.from('rd') },
    { name: 'Content-Format', value: Buffer.of(40) },
    { name: 'Uri-Query', value: Buffer.from(`ep=${name}`) }
  ]
  send({ confirmable: true, code: '0.02', messageId: 1, token: Buffer.from('reg'), options, payload: Buffer.from(LINKS) } as never)
  return { registered, port: String(channel.localPort) }
}

test('1,000 devices register and are asked back, each at its own port, from the port of the directory', { timeout: 60_000 }, async () => {
  const { run, app, network, close } = await home()
  const names = Array.from({ length: 1000 }, (_, at) => `node${at}`)
  const devices = await Promise.all(names.map((name, at) => foreignDevice(network.machine(`10.0.1.${Math.floor(at / 100) + 1}`), name)))
  expect(new Set(await run(Promise.all(devices.map(({ registered }) => registered))))).toEqual(new Set(['2.01']))
  expect(app.registrations.size).toBe(1000)
  const asked = network.trace.length
  const answers = await run(Promise.all(names.map(async name => (await (await app.registrations.named(name).client()).get('/id')).text())))
  expect(answers).toEqual(devices.map(({ port }) => port))
  const sent = network.trace.slice(asked).filter(({ from }) => from.address === RD)
  expect(new Set(sent.map(({ from }) => from.port))).toEqual(new Set([5683]))
  await close()
})
