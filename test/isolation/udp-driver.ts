import dgram from 'node:dgram'
import { type Driver, pause } from './driver.ts'
import { pick, SMALL_MIX } from './ledger.ts'

/** One socket with a bag in each datagram, a few under way at once. */
export const driveUdp: Driver = ({ port, ledger, random, count, mode }) =>
  new Promise(resolve => {
    const socket = dgram.createSocket('udp4')
    const waiting = new Set<string>()
    let left = count
    let over = false
    const end = (): void => {
      if (over) return
      over = true
      ledger.ended(waiting)
      socket.close()
      resolve()
    }
    const send = (): void => {
      const depth = Math.min(left, 1 + Math.floor(random() * 4))
      left -= depth
      for (let at = 0; at < depth; at++) {
        const behaviour = pick(random, SMALL_MIX)
        const token = ledger.open('udp', behaviour)
        waiting.add(token)
        const bag: Record<string, unknown> = {
          'iopa.Method': 'GET',
          'iopa.Path': `/${behaviour}/${token}`,
          'iopa.Headers': { 'x-token': token },
          'iopa.Seq': token
        }
        if (random() < 0.5) Object.assign(bag, { 'iopa.Method': 'PUT', 'iopa.Body': token, 'iopa.ContentType': 'text/plain' })
        socket.send(JSON.stringify(bag), port, '127.0.0.1')
      }
      if (mode === 'abort' || mode === 'reset') setTimeout(end, pause(random))
    }
    socket.on('error', end)
    socket.on('message', (data, from) => {
      // Another server may still answer an earlier client that had this port.
      if (from.port !== port) return
      const frame = JSON.parse(String(data)) as { 'iopa.Seq': string; 'iopa.StatusCode': number }
      if (!waiting.delete(frame['iopa.Seq']) && ledger.isEnded(frame['iopa.Seq'])) return
      ledger.answered(frame['iopa.Seq'], frame['iopa.StatusCode'], String(data))
      if (waiting.size === 0 && !over) {
        if (left > 0) send()
        else end()
      }
    })
    socket.bind(0, '127.0.0.1', send)
  })
