import net from 'node:net'
import { Aedes } from 'aedes'

export const start = async ({ port, host }) => {
  const broker = await Aedes.createBroker()
  const server = net.createServer({ noDelay: true }, broker.handle)
  await new Promise(resolve => server.listen(port, host, resolve))
}
