import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const folder = new URL('..', import.meta.url).pathname

const present = async (program: string): Promise<boolean> =>
  run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false
  )

const needed = ['curl', 'nc', 'coap-client-notls', 'mosquitto_pub', 'mosquitto_sub', 'mosquitto']
const missing = (await Promise.all(needed.map(async program => ((await present(program)) ? [] : [program])))).flat()
const required = process.env['IOPA_REQUIRE_PEERS'] === '1'

interface House {
  readonly http: string
  readonly ports: { http: number; coap: number; mqtt: number; tcp: number; udp: number }
  readonly process: ChildProcess
  readonly output: () => string
}

const children = new Set<ChildProcess>()
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await new Promise(resolve => child.once('exit', resolve))
    }
  }
  children.clear()
})

const started = (command: string, args: string[], env: Record<string, string> = {}): { child: ChildProcess; output: () => string } => {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...env } })
  children.add(child)
  let text = ''
  child.stdout?.on('data', data => (text += data))
  child.stderr?.on('data', data => (text += data))
  return { child, output: () => text }
}

const until = async (what: string, condition: () => boolean | Promise<boolean>, ms = 8000): Promise<void> => {
  const end = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const open = async (env: Record<string, string> = {}): Promise<House> => {
  const conditions = process.env['TEST_DIST'] ? [] : ['--conditions=@iopa/source']
  const { child, output } = started('node', [...conditions, '--import', 'tsx', 'start.ts'], {
    HTTP_PORT: '0',
    COAP_PORT: '0',
    MQTT_PORT: '0',
    TCP_PORT: '0',
    UDP_PORT: '0',
    ...env
  })
  const isOpen = (): boolean => {
    if (child.exitCode !== null) throw new Error(`the house closed at once: ${output()}`)
    return output().includes('Ctrl-C')
  }
  // Its sources are compiled first, which takes long on a busy machine.
  await until('the house is open', isOpen, 30_000)
  // What it prints to type names the ports.
  const port = (command: RegExp): number => Number(command.exec(output())?.[1])
  const ports = {
    http: port(/http:\/\/127\.0\.0\.1:(\d+)/),
    coap: port(/coap:\/\/127\.0\.0\.1:(\d+)/),
    mqtt: port(/mosquitto_sub -p (\d+)/),
    tcp: port(/nc 127\.0\.0\.1 (\d+)/),
    udp: port(/nc -u -w1 127\.0\.0\.1 (\d+)/)
  }
  return { http: `http://127.0.0.1:${ports.http}`, ports, process: child, output }
}

/** Starts a broker, which cannot let the system choose its port: one that is taken is left for another. */
const mosquitto = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const { child, output } = started('mosquitto', ['-p', String(port)])
    await until('mosquitto runs or ends', () => /running/.test(output()) || child.exitCode !== null)
    if (child.exitCode === null) return port
  }
}

const put = async (house: House, path: string, body: unknown): Promise<Response> =>
  fetch(house.http + path, { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })

const udpPut = '{"iopa.Method":"PUT","iopa.Path":"/lights/hall","iopa.Body":{"on":true,"level":70}}'
const tcpObserve = '{"iopa.Method":"GET","iopa.Path":"/lights/hall","iopa.Observe":true,"iopa.Seq":1}'

describe.skipIf(missing.length > 0 && !required)(`home, with ${needed.join(', ')}`, { timeout: 60_000 }, () => {
  test('prints what to type for every protocol, and stops cleanly when interrupted', async () => {
    const house = await open()
    for (const protocol of ['HTTP', 'CoAP', 'MQTT', 'TCP', 'UDP']) expect(house.output()).toContain(protocol)
    house.process.kill('SIGINT')
    await until('it stops', () => house.process.exitCode !== null || house.process.signalCode !== null)
    expect(house.process.exitCode).toBe(0)
  })

  test('answers curl, and refuses with a reason', async () => {
    const house = await open()
    const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-s', ...args])).stdout
    expect(JSON.parse(await curl(`${house.http}/lights/hall`))).toEqual({ on: false, level: 0 })
    expect(Object.keys(JSON.parse(await curl(`${house.http}/lights`)))).toEqual(['hall', 'kitchen', 'porch'])
    const unknown = JSON.parse(await curl(`${house.http}/lights/attic`))
    expect([unknown.status, unknown.code]).toEqual([404, 'unknown-light'])
    const withoutType = JSON.parse(await curl('-X', 'PUT', '-d', '{"on":true,"level":1}', `${house.http}/lights/hall`))
    expect([withoutType.status, withoutType.detail]).toEqual([415, expect.stringContaining('content-type: application/json')])
    const wrong = await put(house, '/lights/hall', { on: true, level: 101 })
    expect([wrong.status, ((await wrong.json()) as { errors: { field: string }[] }).errors[0]?.field]).toEqual([422, 'level'])
    expect((await put(house, '/sensors/attic', { value: 21.5, unit: 'C' })).status).toBe(201)
    expect((await put(house, '/sensors/attic', { value: 22, unit: 'C' })).status).toBe(200)
    expect(await (await fetch(`${house.http}/sensors/attic`)).json()).toEqual({ value: 22, unit: 'C' })
  })

  test('lets a change by curl, by a UDP datagram, by coap-client and by mosquitto_pub be heard everywhere', async () => {
    const house = await open()
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
    const house = await open()
    const { stdout, stderr } = await run('mosquitto_pub', [
      '-p',
      String(house.ports.mqtt),
      '-V',
      '5',
      '-d',
      '-t',
      'lights/hall',
      '-q',
      '1',
      '-m',
      '{"on":7}'
    ]).catch((error: { stdout: string; stderr: string }) => error)
    expect(stdout + stderr).toMatch(/RC:153|Payload format invalid/i)
    expect(await (await fetch(`${house.http}/lights/hall`)).json()).toEqual({ on: false, level: 0 })
  })

  test('lists its lights for discovery over CoAP', async () => {
    const house = await open()
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
