import { createLogger } from "shared/base/log.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
import { testReaderService } from "./reader_service.ts";

testReaderService("virtual readers", async () => {
  const names = ["Virtual 1", "Virtual 2"];
  const service = await openVirtualReaders({
    readers: names.map((name) => ({ name, port: 0 })),
    logger: createLogger("test", { level: "error" }),
  });
  const [first, second] = service.ports() as [number, number];
  return {
    service,
    readers: [{ name: names[0]!, port: first }, { name: names[1]!, port: second }],
    [Symbol.asyncDispose]: () => service.close(),
  };
});
