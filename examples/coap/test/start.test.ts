import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const fileOf = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let sensor: ChildProcess
let url: string

beforeAll(async () => {
  sensor = spawn(process.execPath, [...withTsx, fileOf('sensor.ts')], {
    env: { ...process.env, COAP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  ;[url] = (await once(createInterface(sensor.stdout!), 'line')) as [string]
})

afterAll(async () => {
  sensor.kill('SIGINT')
  await once(sensor, 'exit')
})

test('the client sees what the sensor has, sets it, and hears five measurements', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [...withTsx, fileOf('client.ts'), url])
  const lines = stdout.trimEnd().split('\n')
  expect(lines.slice(0, 2)).toEqual(['</temperature>;rt="temperature-c";if="sensor";title="Room temperature";obs', 'interval: 204 2.04'])
  expect(lines).toHaveLength(7)
  for (const line of lines.slice(2)) expect(line).toMatch(/^\d+\.\d °C$/)
})

test.each(['sensor.ts', 'client.ts'])('%s is under 40 lines', name => {
  expect(readFileSync(fileOf(name), 'utf8').trimEnd().split('\n').length).toBeLessThan(40)
})
