import { fork } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'

const program = new URL('./cluster-workers.mjs', import.meta.url).pathname
const built = existsSync(new URL('../packages/iopa-mqtt/dist', import.meta.url))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Told {
  readonly warnings: string[]
  readonly atStart: number
  readonly port: string
  readonly refused: string
}

// Three processes start here.
test.skipIf(!built)(
  'workers of a cluster warn once about unshared state, and serve UDP in each worker',
  async () => {
    // Workers share the port that the first of them gets for UDP; that of CoAP has to be named, so that the second one is refused.
    const coapPort = 20_000 + Math.floor(Math.random() * 10_000)
    const primary = fork(program, [String(coapPort)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    closing.push(() => primary.kill())
    const told: Told[] = []
    while (told.length < 2) told.push(((await once(primary, 'message')) as [Told])[0])
    const udpPort = Number(told[0]?.port)
    for (const { warnings, atStart, port } of told) {
      expect(port).toBe(String(udpPort))
      expect(atStart).toBe(1)
      expect(warnings).toEqual([
        expect.stringMatching(/embedded MQTT broker in a worker of a cluster/),
        expect.stringMatching(/an observer in a worker of a cluster/)
      ])
    }
    // Requests of CoAP have a state that one worker must keep.
    expect(told.map(({ refused }) => refused).sort()).toEqual(['', expect.stringMatching(/another worker of a cluster/)])
    const socket = createSocket('udp4')
    closing.push(() => socket.close())
    socket.send('{"iopa.Method":"GET","iopa.Path":"/a"}', udpPort, '127.0.0.1')
    expect(String((await once(socket, 'message'))[0])).toContain('"iopa.StatusCode":200')
  },
  30_000
)
