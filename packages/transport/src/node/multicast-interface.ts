import { networkInterfaces } from 'node:os'
import { optionError } from '../arguments/arguments.ts'

/** How `node:dgram` names an interface: by its address for IPv4, by its name for IPv6. `given` is its name or one of its addresses. @throws IopaError 500 that names those there are. */
export const interfaceFor = (given: string, family: 4 | 6): string => {
  const all = Object.entries(networkInterfaces())
  for (const [name, addresses = []] of all) {
    if (name !== given && !addresses.some(({ address }) => address === given)) continue
    if (family === 6) return `::%${name}`
    // One that was named by an address of this family is used with that.
    const ipv4 = addresses.filter(address => address.family === 'IPv4')
    const chosen = ipv4.find(({ address }) => address === given) ?? ipv4[0]
    if (chosen !== undefined) return chosen.address
  }
  throw optionError(`There is no network interface '${given}' with IPv${family}; there are ${all.map(([name]) => name).join(', ')}.`)
}
