//! The queue in memory passes the suite.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use ferry_contract::queue::QueueWorld;
use ferry_domain::ports::Queue;
use ferry_queue::MemoryQueue;

struct World(Arc<MemoryQueue>);

#[async_trait]
impl QueueWorld for World {
    fn queue(&self) -> Arc<dyn Queue> {
        self.0.clone()
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

async fn world() -> Option<Arc<dyn QueueWorld>> {
    Some(Arc::new(World(Arc::new(MemoryQueue::new()))))
}

ferry_contract::queue_suite!(
    #[tokio::test(flavor = "multi_thread")]
    world
);
