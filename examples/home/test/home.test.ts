import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { CLIENTS, describeHome, endChildren, type House, mosquitto, open, run, started, until } from './house.ts'

const put = async (house: House, path: string, body: unknown): Promise<Response> =>
  fetch(house.http + path, { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })

const udpPut = '{"iopa.Method":"PUT","iopa.Path":"/lights/hall","iopa.Body":{"on":true,"level":70}}'
const tcpObserve = '{"iopa.Method":"GET","iopa.Path":"/lights/hall","iopa.Observe":true,"iopa.Seq":1}'

describeHome('five protocols', CLIENTS, () => {
  let house: House
  beforeAll(async () => {
    house = await open()
  }, 60_000)
  afterEach(() => endChildren(house))
  afterAll(() => endChildren())

  test('prints what to type for every protocol, and stops cleanly when interrupted', async () => {
    const house = await open()
    for (const protocol of ['HTTP', 'CoAP', 'MQTT', 'TCP', 'UDP']) expect(house.output()).toContain(protocol)
    house.process.kill('SIGINT')
    await until('it stops', () => house.process.exitCode !== null || house.process.signalCode !== null)
    expect(house.process.exitCode).toBe(0)
  })

  test('answers curl, and refuses with a reason', async () => {
    const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-s', ...args])).stdout
    expect(JSON.parse(await curl(`${house.http}/lights/hall`))).toEqual({ on: false, level: 0 })
    expect(JSON.parse(await curl(`${house.http}/lights`)).items.map(({ id }: { id: string }) => id)).toEqual(['hall', 'kitchen', 'porch'])
    const unknown = JSON.parse(await curl(`${house.http}/lights/attic`))
    expect([unknown.status, unknown.code]).toEqual([404, 'not-found'])
    const withoutType = JSON.parse(await curl('-X', 'PUT', '-d', '{"on":true,"level":1}', `${house.http}/lights/hall`))
    expect([withoutType.status, withoutType.detail]).toEqual([415, expect.stringContaining('content-type: application/json')])
    const wrong = await put(house, '/lights/hall', { on: true, level: 101 })
    expect([wrong.status, ((await wrong.json()) as { errors: { pointer: string }[] }).errors[0]?.pointer]).toEqual([422, '/level'])
    expect((await put(house, '/sensors/attic', { value: 21.5, unit: 'C' })).status).toBe(201)
    expect((await put(house, '/sensors/attic', { value: 22, unit: 'C' })).status).toBe(200)
    expect(await (await fetch(`${house.http}/sensors/attic`)).json()).toEqual({ value: 22, unit: 'C', at: expect.any(Number) })
  })

  test('lets a change by curl, by a UDP datagram, by coap-client and by mosquitto_pub be heard everywhere', async () => {
    const { ports } = house
    const sse = started('curl', ['-sN', '-H', 'accept: text/event-stream', `${house.http}/lights/hall`])
    const tcp = started('sh', ['-c', `(echo '${tcpObserve}'; sleep 20) | nc 127.0.0.1 ${ports.tcp}`])
    const coap = started('coap-client-notls', ['-s', '20', '-w', `coap://127.0.0.1:${ports.coap}/lights/hall`])
    const mqtt = started('mosquitto_sub', ['-p', String(ports.mqtt), '-t', 'lights/#', '-v'])
    const listeners = { sse, tcp, coap, mqtt }
    const heard = (level: number): Promise<void[]> =>
      Promise.all(
        Object.entries(listeners).map(([name, { output }]) =>
          until(`${name} hears level ${level}; it heard ${output()}`, () => output().includes(`"level":${level}`))
        )
      )
    await heard(0)
    await run('curl', ['-s', '-X', 'PUT', '-d', '{"on":true,"level":40}', '-H', 'content-type: application/json', `${house.http}/lights/hall`])
    await heard(40)
    await run('sh', ['-c', `echo '${udpPut}' | nc -u -w1 127.0.0.1 ${ports.udp}`])
    await heard(70)
    await run('coap-client-notls', ['-m', 'put', '-t', '50', '-e', '{"on":true,"level":50}', `coap://127.0.0.1:${ports.coap}/lights/hall`])
    await heard(50)
    await run('mosquitto_pub', ['-p', String(ports.mqtt), '-t', 'lights/hall', '-q', '1', '-m', '{"on":true,"level":60}'])
    await heard(60)
    expect(await (await fetch(`${house.http}/lights/hall`)).json()).toEqual({ on: true, level: 60 })
  })

  test('tells an MQTT 5 publisher of a bad payload, and changes nothing', async () => {
    const { stdout, stderr } = await run('mosquitto_pub', [
      '-p',
      String(house.ports.mqtt),
      '-V',
      '5',
      '-d',
      '-t',
      'lights/kitchen',
      '-q',
      '1',
      '-m',
      '{"on":7}'
    ]).catch((error: { stdout: string; stderr: string }) => error)
    expect(stdout + stderr).toMatch(/RC:153|Payload format invalid/i)
    expect(await (await fetch(`${house.http}/lights/kitchen`)).json()).toEqual({ on: false, level: 0 })
  })

  test('lists its lights for discovery over CoAP', async () => {
    const { stdout } = await run('coap-client-notls', [`coap://127.0.0.1:${house.ports.coap}/.well-known/core`])
    for (const path of ['/lights', '/lights/hall', '/lights/porch']) expect(stdout).toContain(`<${path}>`)
  })

  test('shares a broker with another house: a PUT on one is heard on the other, and both agree', async () => {
    const broker = `mqtt://127.0.0.1:${await mosquitto()}`
    const [one, two] = await Promise.all([open({ MQTT_BROKER: broker, MQTT_CLIENT_ID: 'one' }), open({ MQTT_BROKER: broker, MQTT_CLIENT_ID: 'two' })])
    const sse = started('curl', ['-sN', '-H', 'accept: text/event-stream', `${two.http}/lights/porch`])
    await until('the observer has the first event', () => sse.output().includes('"level":0'))
    expect((await put(one, '/lights/porch', { on: true, level: 33 })).status).toBe(200)
    await until('the other house hears it', () => sse.output().includes('"level":33'))
    for (const house of [one, two]) expect(await (await fetch(`${house.http}/lights/porch`)).json()).toEqual({ on: true, level: 33 })
  })
})
