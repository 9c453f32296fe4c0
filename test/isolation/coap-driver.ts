import dgram from 'node:dgram'
import { generate, parse } from 'coap-packet'
import { type Driver, pause } from './driver.ts'
import { pick, SMALL_MIX } from './ledger.ts'

/** Numbers of the options that carry what the handlers read; a custom header has none in CoAP. */
const PATH = 'Uri-Path'

/** CoAP tokens of clients that are closed: the system may give their port, and so repeated answers, to a later client. */
const CLOSED = new Set<string>()

/** One endpoint with confirmable requests: separate answers are acknowledged once, and a repeated one is not counted. */
export const driveCoap: Driver = ({ port, ledger, random, count, mode }) =>
  new Promise(resolve => {
    const socket = dgram.createSocket('udp4')
    const waiting = new Map<string, string>()
    const used: string[] = []
    const acknowledged = new Set<number>()
    let messageId = Math.floor(random() * 65536)
    let left = count
    let over = false
    const end = (): void => {
      if (over) return
      over = true
      ledger.ended(waiting.values())
      for (const key of used) CLOSED.add(key)
      socket.close()
      resolve()
    }
    const send = (): void => {
      const depth = Math.min(left, 1 + Math.floor(random() * 3))
      left -= depth
      for (let at = 0; at < depth; at++) {
        const behaviour = pick(random, SMALL_MIX)
        const token = ledger.open('coap', behaviour)
        messageId = (messageId + 1) % 65536
        const key = Buffer.from(token.slice(-8))
        waiting.set(key.toString(), token)
        used.push(key.toString())
        const put = random() < 0.5
        const options = [
          { name: PATH, value: Buffer.from(behaviour) },
          { name: PATH, value: Buffer.from(token) }
        ]
        const payload = put ? Buffer.from(token) : Buffer.alloc(0)
        socket.send(generate({ code: put ? '0.03' : '0.01', confirmable: true, messageId, token: key, options, payload }), port, '127.0.0.1')
      }
      if (mode === 'abort' || mode === 'reset') setTimeout(end, pause(random))
    }
    socket.on('error', end)
    socket.on('message', (data, from) => {
      // Another server may still answer an earlier client that had this port.
      if (from.port !== port) return
      const message = parse(data)
      // An empty acknowledgement says that the answer follows.
      if (message.code === '0.00') return
      if (message.confirmable) {
        socket.send(generate({ code: '0.00', ack: true, messageId: message.messageId }), port, '127.0.0.1')
        if (acknowledged.has(message.messageId)) return
        acknowledged.add(message.messageId)
      }
      const key = message.token.toString()
      const token = waiting.get(key)
      if (token === undefined) {
        if (CLOSED.has(key)) return
        ledger.faults.push(`coap: an answer with the token ${key}, which has had one or is of another endpoint`)
        return
      }
      waiting.delete(key)
      const [group, detail] = message.code.split('.') as [string, string]
      const status = group === '2' ? 200 : Number(group) * 100 + Number(detail)
      ledger.answered(token, status, message.payload.toString())
      if (waiting.size === 0 && !over) {
        if (left > 0) send()
        else end()
      }
    })
    socket.bind(0, '127.0.0.1', send)
  })
