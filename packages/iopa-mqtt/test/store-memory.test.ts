import { memoryStore } from '../src/stores/memory.ts'
import { storeContract } from './store-contract.ts'

storeContract('the memory store', () => {
  const store = memoryStore()
  return { open: () => store }
})
