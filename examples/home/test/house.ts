// A house in a process of its own, and the clients that talk to it.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { describe } from 'vitest'

export const run = promisify(execFile)
const folder = new URL('..', import.meta.url).pathname

const present = async (program: string): Promise<boolean> =>
  run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false
  )

export const CLIENTS = ['curl', 'nc', 'coap-client-notls', 'mosquitto_pub', 'mosquitto_sub', 'mosquitto']
const needed = [...CLIENTS, 'chromium']
const missing = (await Promise.all(needed.map(async program => ((await present(program)) ? [] : [program])))).flat()
const required = process.env['IOPA_REQUIRE_PEERS'] === '1'

/** A suite that needs real clients; without them it is skipped, unless they are required. */
export const describeHome = (what: string, programs: readonly string[], suite: () => void): void => {
  const absent = programs.filter(program => missing.includes(program))
  describe.skipIf(absent.length > 0 && !required)(`home, with ${programs.join(', ')}`, { timeout: 60_000 }, () => {
    describe(what, suite)
  })
}

export interface House {
  readonly http: string
  readonly ports: { http: number; coap: number; mqtt: number; tcp: number; udp: number }
  readonly process: ChildProcess
  readonly output: () => string
}

const children = new Set<ChildProcess>()
/** Ends what a test has started; the modules of tests are shared, so each file calls it behind each test. */
export const endChildren = async (but?: House): Promise<void> => {
  for (const child of children) {
    if (child === but?.process) continue
    children.delete(child)
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await new Promise(resolve => child.once('exit', resolve))
    }
  }
}

/** Starts a program in the folder of the example. */
export const started = (command: string, args: string[], env: Record<string, string> = {}): { child: ChildProcess; output: () => string } => {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...env } })
  children.add(child)
  let text = ''
  child.stdout?.on('data', data => (text += data))
  child.stderr?.on('data', data => (text += data))
  return { child, output: () => text }
}

/** Waits until a condition holds. */
export const until = async (what: string, condition: () => boolean | Promise<boolean>, ms = 8000): Promise<void> => {
  const end = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** Starts a house, each of its listeners on a port of the system's choice unless `env` names one. */
export const open = async (env: Record<string, string> = {}): Promise<House> => {
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
export const mosquitto = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const { child, output } = started('mosquitto', ['-p', String(port)])
    await until('mosquitto runs or ends', () => /running/.test(output()) || child.exitCode !== null)
    if (child.exitCode === null) return port
  }
}
